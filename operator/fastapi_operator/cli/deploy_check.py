"""The checks of ``deploy`` in the cluster before it asks: whether the service could be applied."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator.cli import inputs
from fastapi_operator.cli.connect import Cluster
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import SECRET, SERVICE
from fastapi_operator.delivery.secrets import required_secrets

_INSTALL = "https://github.com/fastapi-operator/fastapi-operator/blob/main/docs/install.md"


async def check_service(
    cluster: Cluster, body: Mapping[str, Any], *, force: bool
) -> dict[str, frozenset[str]]:
    """Ends the command if the API server would refuse the service.

    Args:
        cluster: The connection.
        body: The service.
        force: Whether fields of other managers are taken over.

    Returns:
        The Secrets that the service requires and that do not exist, each with its keys.
    """
    try:
        await cluster.client.apply(SERVICE, body, rehearse=True, force=force)
    except ApiError as error:
        if error.status == 404 and error.message.startswith("namespaces "):
            inputs.fail(
                f"namespace {cluster.namespace} does not exist; create it with: kubectl create "
                f"namespace {cluster.namespace}"
            )
        if error.status == 404:
            inputs.fail(
                "the cluster does not have the kind FastAPIService; install the operator: "
                f"{_INSTALL}"
            )
        if error.status == 409:
            others = ", ".join(error.other_managers) or "another program"
            fields = ", ".join(sorted(field for field, _ in error.causes))
            inputs.fail(
                f"{inputs.name_of(dict(body))}: {others} manages fields that would change: "
                f"{fields}; change them there, or add --force-conflicts"
            )
        raise
    required = required_secrets(body["spec"])
    return {
        name: keys for name, keys in required.items() if not await _has_secret(cluster, name, keys)
    }


async def _has_secret(cluster: Cluster, name: str, keys: frozenset[str]) -> bool:
    """Returns whether a Secret exists; one without a required key ends the command."""
    try:
        found = await cluster.client.get(SECRET, cluster.namespace, name)
    except ApiError as error:
        if error.status == 403:
            return True  # The status of the service will show a Secret that is missing.
        raise
    missing = sorted(keys - set((found or {}).get("data") or {}))
    if found is not None and missing:
        inputs.fail(
            f"Secret {cluster.namespace}/{name} has no key {', '.join(missing)}, and pods do not "
            f"start without it; add it with: kubectl edit secret {name} -n {cluster.namespace}"
        )
    return found is not None
