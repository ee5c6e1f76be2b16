"""The connection to the cluster: one ``kubernetes.aio`` configuration, also for Kopf."""

import os
from dataclasses import dataclass
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
    _require_file(path)
    if context is not None:
        find_context(kubeconfig=path, context=context)
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


@dataclass(frozen=True)
class Context:
    """A context of a kubeconfig.

    Attributes:
        name: Its name.
        cluster: The name of its cluster in the kubeconfig.
        namespace: Its namespace.
        provider: The program that wrote it, if that is stated: minikube does.
    """

    name: str
    cluster: str
    namespace: str
    provider: str = ""


def find_context(*, kubeconfig: str | None = None, context: str | None = None) -> Context:
    """Returns a context of a kubeconfig, or the current one.

    Raises:
        UnreachableError: There is no such file or context.
    """
    path = kubeconfig or str(_default_file())
    _require_file(path)
    try:
        contexts, active = config.list_kube_config_contexts(config_file=path)
    except (aio.config.ConfigException, OSError) as error:
        raise UnreachableError(f"kubeconfig {path}: {error}") from error
    chosen = active
    if context is not None:
        chosen = next((item for item in contexts if item["name"] == context), None)
        if chosen is None:
            known = ", ".join(item["name"] for item in contexts) or "none"
            raise UnreachableError(f"kubeconfig {path}: no context {context}; it has: {known}")
    values = chosen["context"]
    stated = (item.get("extension") for item in values.get("extensions") or ())
    providers = (item.get("provider") for item in stated if isinstance(item, dict))
    return Context(
        name=str(chosen["name"]),
        cluster=str(values.get("cluster") or ""),
        namespace=str(values.get("namespace") or "default"),
        provider=str(next(filter(None, providers), "")),
    )


def default_namespace(*, kubeconfig: str | None = None, context: str | None = None) -> str:
    """Returns the namespace of a kubeconfig's context.

    Raises:
        UnreachableError: There is no such file or context.
    """
    return find_context(kubeconfig=kubeconfig, context=context).namespace


def _require_file(path: str) -> None:
    if not Path(path).expanduser().exists():
        raise UnreachableError(
            f"kubeconfig {path}: no such file; set KUBECONFIG or, for a command, --kubeconfig"
        )


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
