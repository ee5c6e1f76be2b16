"""The connection to the cluster: one ``kubernetes.aio`` configuration, also for Kopf."""

import os
from pathlib import Path

import kopf
from kubernetes import aio
from kubernetes.aio import client, config

from fastapi_operator.cluster.environment_proxy import proxy_of

# For the requests of all reconciliations; watches use Kopf's own connections.
CONNECTIONS = 40


class UnreachableError(RuntimeError):
    """There is no usable configuration; the message has the file or the account that was tried."""


async def load(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
) -> "client.Configuration":
    """Loads the client configuration: of the pod if it runs in one, or else of the kubeconfig.

    Args:
        kubeconfig: Path of a kubeconfig file; None is KUBECONFIG or ~/.kube/config.
        context: Name of a context in it; None is the current context.

    Raises:
        UnreachableError: There is no usable configuration.
    """
    configuration = client.Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    wants_file = kubeconfig is not None or context is not None
    if not wants_file and "KUBERNETES_SERVICE_HOST" in os.environ and not _default_file().exists():
        try:
            config.load_incluster_config(client_configuration=configuration)
        except aio.config.ConfigException as error:
            raise UnreachableError(f"service account of the pod: {error}") from error
        return _without_environment(configuration)
    path = kubeconfig or str(_default_file())
    if not _exists(path):
        raise UnreachableError(
            f"kubeconfig {path}: no such file; set KUBECONFIG or, for a command, --kubeconfig"
        )
    try:
        await config.load_kube_config(
            config_file=path, context=context, client_configuration=configuration
        )
    except (aio.config.ConfigException, OSError) as error:
        raise UnreachableError(
            f"kubeconfig {path}: {error}; set --kubeconfig or KUBECONFIG"
        ) from error
    return _without_environment(configuration)


def _without_environment(configuration: "client.Configuration") -> "client.Configuration":
    """Reads the proxy from the environment once.

    By default, aiohttp reads the environment and ``~/.netrc`` in two threads before each request,
    which takes a tenth of the operator's CPU time.
    """
    if not configuration.proxy:
        configuration.proxy = proxy_of(configuration.host)
    configuration.client_session_kwargs = {"trust_env": False}
    return configuration


def default_namespace(*, kubeconfig: str | None = None, context: str | None = None) -> str:
    """Returns the namespace of a kubeconfig's context.

    Raises:
        UnreachableError: There is no such file or context.
    """
    path = kubeconfig or str(_default_file())
    try:
        contexts, active = config.list_kube_config_contexts(config_file=path)
    except (aio.config.ConfigException, OSError) as error:
        raise UnreachableError(f"kubeconfig {path}: {error}") from error
    chosen = next((item for item in contexts if item["name"] == context), active)
    return str(chosen["context"].get("namespace") or "default")


def _exists(path: str) -> bool:
    return Path(path).expanduser().exists()


def _default_file() -> Path:
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first).expanduser() if first else Path("~/.kube/config").expanduser()


async def for_kopf(configuration: "client.Configuration") -> kopf.ConnectionInfo:
    """Returns the same server and credentials for Kopf's watches.

    Kopf calls this again after a 401, so that a rotated token is read again through the hook of
    the configuration.
    """
    header = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    scheme, _, token = (header or "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        ca_data=configuration.ca_cert_data,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme.capitalize() if token else None,
        token=token or None,
        proxy_url=configuration.proxy,
    )
