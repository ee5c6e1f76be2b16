"""How the cluster is reached: one ``kubernetes.aio`` configuration, translated for Kopf."""

import os
from pathlib import Path
from urllib import request
from urllib.parse import urlsplit

import kopf
from kubernetes import aio
from kubernetes.aio import client, config

# Writes of all passes together; watches run on Kopf's own connections.
CONNECTIONS = 40


class UnreachableError(RuntimeError):
    """No usable configuration; the message says what was looked for and where."""


async def load(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
) -> "client.Configuration":
    """The client configuration: of the pod where there is one, else of the kubeconfig.

    Args:
        kubeconfig: Path of a kubeconfig file; None looks at KUBECONFIG and ~/.kube/config.
        context: Name of a context in it; None is the current one.

    Raises:
        UnreachableError: Nothing usable was found.
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
    try:
        await config.load_kube_config(
            config_file=path, context=context, client_configuration=configuration
        )
    except (aio.config.ConfigException, OSError) as error:
        raise UnreachableError(
            f"kubeconfig {path}: {error}; give one with --kubeconfig or KUBECONFIG"
        ) from error
    return _without_environment(configuration)


def _without_environment(configuration: "client.Configuration") -> "client.Configuration":
    """Asks the environment for a proxy once.

    aiohttp would ask it, and ``~/.netrc`` for a password, in two threads before each request: a
    tenth of the operator's CPU time.
    """
    server = urlsplit(configuration.host)
    if not configuration.proxy and not request.proxy_bypass(server.hostname or ""):
        configuration.proxy = request.getproxies().get(server.scheme)
    configuration.client_session_kwargs = {"trust_env": False}
    return configuration


def default_namespace(*, kubeconfig: str | None = None, context: str | None = None) -> str:
    """The namespace of a kubeconfig's context.

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


def _default_file() -> Path:
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first).expanduser() if first else Path("~/.kube/config").expanduser()


async def for_kopf(configuration: "client.Configuration") -> kopf.ConnectionInfo:
    """The same server and credentials for Kopf's watches.

    Kopf asks again after a 401, so a rotated token is read afresh through the hook of the
    configuration.
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
