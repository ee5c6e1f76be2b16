"""What the cluster offers: its version, and which of the optional kinds it serves."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator.cluster import kinds
from fastapi_operator.cluster.client import Client
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
