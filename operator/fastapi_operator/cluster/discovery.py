"""Discovers the cluster's version, the kinds it serves, and profiles and limits of namespaces."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster import kinds
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.facts import HTTP_ROUTE, ROUTE_FIELDS, ROUTE_FIELDS_OFFLINE, Facts
from fastapi_operator.limit_ranges import Limits
from fastapi_operator.platforms import MESHES

_FORBIDDEN = 403
# The fields of HTTPRoutes, by the URL of their schemas; the newest URL only.
_ROUTE_FIELDS: dict[str, frozenset[str]] = {}
# One response for all groups, since Kubernetes 1.30 (aggregated discovery).
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def discover(client: Client) -> Facts:
    """Reads the facts of the cluster with two requests, or three if it serves HTTPRoutes.

    Raises:
        ApiError: The API server failed; the facts that are already known stay valid.
    """
    version = await client.read("/version")
    groups = await client.read("/apis", accept=_AGGREGATED)
    # Pods have the family of the address by which they reach the API server.
    ipv6 = ":" in os.environ.get("KUBERNETES_SERVICE_HOST", "")
    apis = _served(groups)
    return Facts(
        kubernetes=_version(version),
        apis=apis,
        route_fields=await _route_fields(client) if HTTP_ROUTE in apis else ROUTE_FIELDS_OFFLINE,
        ipv6=ipv6,
    )


async def _route_fields(client: Client) -> frozenset[str]:
    """Returns the optional fields of HTTPRoutes: a field that is unknown would be refused."""
    group_version, _, _ = HTTP_ROUTE.rpartition("/")
    try:
        index = await client.read("/openapi/v3")
        # The URL has a hash of the schemas, which are large.
        url = index["paths"][f"apis/{group_version}"]["serverRelativeURL"]
        if url not in _ROUTE_FIELDS:
            schemas = (await client.read(url))["components"]["schemas"]
            _ROUTE_FIELDS.clear()
            _ROUTE_FIELDS[url] = ROUTE_FIELDS & _fields_of_rules(schemas)
        return _ROUTE_FIELDS[url]
    except ApiError as error:
        if error.status not in (_FORBIDDEN, 404):
            raise
    except KeyError:  # The schemas are not published yet.
        pass
    return ROUTE_FIELDS_OFFLINE


def _fields_of_rules(schemas: Mapping[str, Any]) -> frozenset[str]:
    for name, schema in schemas.items():
        if name.endswith(".HTTPRoute"):
            rules = schema["properties"]["spec"]["properties"]["rules"]
            return frozenset(rules["items"]["properties"])
    return frozenset()


async def pods_use_ipv6(client: Client) -> bool:
    """Whether pods have IPv6 addresses, for a command outside of a pod; False if it may not know.

    Raises:
        ApiError: The API server failed.
    """
    try:
        service = await client.read("/api/v1/namespaces/default/services/kubernetes")
    except ApiError as error:
        if error.status not in (_FORBIDDEN, 404):
            raise
        return False
    return ":" in service["spec"].get("clusterIP", "")


async def profiles(client: Client, namespaces: Iterable[str]) -> Mapping[str, str]:
    """Returns the profile of each namespace that has a profile label.

    Args:
        client: Sends the requests.
        namespaces: The namespaces to read, one request for each; if empty, all labelled namespaces
            of the cluster are listed.

    Raises:
        ApiError: The API server failed; the facts that are already known stay valid.
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


async def limits(client: Client, namespaces: Iterable[str]) -> Mapping[str, Limits] | None:
    """Returns the LimitRanges of each namespace that has any; None without the right to list them.

    Args:
        client: Sends the requests.
        namespaces: The namespaces to read, one request for each; if empty, those of the cluster.

    Raises:
        ApiError: The API server failed; the facts that are already known stay valid.
    """
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    try:
        for namespace in tuple(namespaces) or (None,):
            async for page, _ in client.pages(kinds.LIMIT_RANGE, namespace):
                for body in page:
                    items = found.setdefault(body["metadata"]["namespace"], [])
                    name = body["metadata"]["name"]
                    items += ((name, item) for item in (body.get("spec") or {}).get("limits") or ())
    except ApiError as error:
        # A role of an older version does not permit it.
        if error.status != _FORBIDDEN:
            raise
        return None
    return {namespace: Limits.of(items) for namespace, items in found.items()}


async def _namespace(client: Client, name: str) -> dict[str, Any]:
    try:
        return await client.read(kinds.NAMESPACE.path(None, name))
    except ApiError as error:
        if error.status == 404:
            return {"metadata": {"name": name}}
        raise


def _version(answer: Mapping[str, Any]) -> str:
    # Some providers return a minor version of "35+".
    return f"{answer['major']}.{str(answer['minor']).rstrip('+')}"


def _served(answer: Mapping[str, Any]) -> frozenset[str]:
    served = set()
    for group in answer.get("items") or ():
        name = group["metadata"]["name"]
        for version in group.get("versions") or ():
            # If an aggregated API is stale, its resources are missing.
            for resource in version.get("resources") or ():
                kind = resource.get("responseKind", {}).get("kind", "")
                served.add(f"{name}/{version['version']}/{kind}")
    meshes = {mesh.api for mesh in MESHES}
    return frozenset(served & (kinds.optional_apis() | meshes))
