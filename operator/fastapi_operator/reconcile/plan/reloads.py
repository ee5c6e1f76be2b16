"""Configuration that running pods read again, some time after it was changed.

A sidecar reloads a changed ConfigMap after the kubelet has refreshed its mount. No object reports
that, so the change counts as progress for the longest time that it takes. The proxies of a Gateway
get a changed HTTPRoute in the same way, and the proxy the addresses of the app's first pods.
"""

import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from fastapi_operator.cluster.kinds import CONFIG_MAP, DEPLOYMENT, STATEFUL_SET
from fastapi_operator.parts import RELOADER, Part
from fastapi_operator.reconcile.observe.observed import Child
from fastapi_operator.resources.desired import Desired, ObjectKey
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import Plan

REASON = "Reloading"
MESSAGE = f"running pods read the changed configuration within {figures.RELOAD_SECONDS} s"
ADDRESS_MESSAGE = (
    f"its pods are ready; the proxy reads their addresses within {figures.ADDRESS_SECONDS} s"
)
# The creation and its managedFields have times of their own.
CREATION_SECONDS = 1
_WORKLOADS = frozenset({DEPLOYMENT.kind, STATEFUL_SET.kind})


def seconds_left(
    desired: Iterable[Desired], children: Mapping[ObjectKey, Child], clocks: Collection[float]
) -> dict[ObjectKey, float]:
    """Returns the ConfigMaps that pods may not have read yet, with the seconds that remain.

    Args:
        desired: The desired objects.
        children: The live objects.
        clocks: The time by each clock, in seconds since 1970; the longest wait counts.
    """
    found = {}
    for key in reloaded(desired):
        child = children.get(key)
        if child is None or not child.changed or not child.created:
            continue
        # Pods that started after the creation have read the first content.
        if _seconds(child.changed) <= _seconds(child.created) + CREATION_SECONDS:
            continue
        if left := _left(child.changed, clocks, figures.RELOAD_SECONDS):
            found[key] = left
    return found


def route_seconds_left(child: Child, clocks: Collection[float]) -> float:
    """Returns for how long a Gateway may not have a changed HTTPRoute yet; 0 if it has it."""
    return _left(child.changed, clocks, figures.ROUTE_SECONDS)


def address_seconds_left(
    plan: Plan | None,
    desired: Iterable[Desired],
    children: Mapping[ObjectKey, Child],
    clocks: Collection[float],
) -> float:
    """Returns for how long the proxy may not know the first pods of the app yet; 0 if it does.

    Args:
        plan: The numbers; None if the spec cannot be parsed.
        desired: The desired objects.
        children: The live objects.
        clocks: The time by each clock, in seconds since 1970; the longest wait counts.
    """
    proxy = plan.proxy if plan is not None else None
    if proxy is None or proxy.resolve_seconds is None:
        return 0.0
    waits = (
        _left(child.replicas.available_since, clocks, figures.ADDRESS_SECONDS)
        for item in desired
        if item.part is Part.APP
        and (child := children.get(item.key)) is not None
        and child.replicas is not None
    )
    return max(waits, default=0.0)


def _left(since: str, clocks: Collection[float], longest: float) -> float:
    if not since:
        return 0.0
    waits = (_seconds(since) + longest - now for now in clocks)
    # The clocks of operator and API server may differ, but not without a bound.
    return max((left for left in waits if 0 < left <= 2 * longest), default=0.0)


def _seconds(time: str) -> float:
    return datetime.datetime.fromisoformat(time).timestamp()


def reloaded(desired: Iterable[Desired]) -> Iterator[ObjectKey]:
    """Yields the ConfigMaps that running pods read again after a change."""
    for item in desired:
        if item.key.kind not in _WORKLOADS:
            continue
        pod = item.body.get("spec", {}).get("template", {}).get("spec", {})
        mounted = set(_mounts_of_reloader(pod))
        for volume in pod.get("volumes") or ():
            for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
                name = (source.get("configMap") or {}).get("name")
                if name is not None and volume.get("name") in mounted:
                    yield ObjectKey("", CONFIG_MAP.kind, item.key.namespace, name)


def _mounts_of_reloader(pod: Mapping[str, Any]) -> Iterator[str]:
    for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
        if container.get("name") == RELOADER:
            yield from (mount["name"] for mount in container.get("volumeMounts") or ())
