"""What the cluster offers: its version, the optional kinds it serves, profiles of namespaces."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster import kinds
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.facts import Facts

# One answer for all groups, since Kubernetes 1.30 (aggregated discovery).
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def discover(client: Client) -> Facts:
    """The facts of the cluster, by two requests.

    Raises:
        ApiError: The API server did not answer; what was known before stays true.
    """
    version = await client.read("/version")
    groups = await client.read("/apis", accept=_AGGREGATED)
    return Facts(kubernetes=_version(version), apis=_offered(groups))


async def profiles(client: Client, namespaces: Iterable[str]) -> Mapping[str, str]:
    """The profile of each namespace that is labelled with one.

    Args:
        client: Asks the API server.
        namespaces: Those to look at, one request each; none stands for the whole cluster, of
            which the labelled ones are listed.

    Raises:
        ApiError: The API server did not answer; what was known before stays true.
    """
    found = [await _namespace(client, name) for name in namespaces]
    if not found:
        async for page, _ in client.pages(
            kinds.NAMESPACE, None, label_selector=naming.PROFILE_LABEL
        ):
            found += page
    labels = {body["metadata"]["name"]: body["metadata"].get("labels") or {} for body in found}
    return {
        name: of[naming.PROFILE_LABEL]
        for name, of in labels.items()
        if of.get(naming.PROFILE_LABEL)
    }


async def _namespace(client: Client, name: str) -> dict[str, Any]:
    try:
        return await client.read(kinds.NAMESPACE.path(None, name))
    except ApiError as error:
        if error.status == 404:
            return {"metadata": {"name": name}}
        raise


def _version(answer: Mapping[str, Any]) -> str:
    # Some providers write a minor of "35+".
    return f"{answer['major']}.{str(answer['minor']).rstrip('+')}"


def _offered(answer: Mapping[str, Any]) -> frozenset[str]:
    served = set()
    for group in answer.get("items") or ():
        name = group["metadata"]["name"]
        for version in group.get("versions") or ():
            # A stale aggregated API says nothing about what is gone.
            for resource in version.get("resources") or ():
                kind = resource.get("responseKind", {}).get("kind", "")
                served.add(f"{name}/{version['version']}/{kind}")
    return frozenset(served & kinds.optional_apis())
