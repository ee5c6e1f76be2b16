"""What a service permits the leak guard, and the report about it in the status."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from fastapi_operator import quantity
from fastapi_operator.api.status import LeakStatus
from fastapi_operator.cluster.kinds import DEPLOYMENT
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.plan.leak_guard import Terms
from fastapi_operator.resources.desired import Desired
from fastapi_operator.tuning.plan import Plan

_EVENTS: Mapping[str, tuple[Literal["Normal", "Warning"], str]] = {
    "Growing": ("Warning", "MemoryGrowing"),
    "Raised": ("Warning", "MemoryLimitRaised"),
    "Replacing": ("Warning", "ReplacingPod"),
    "Replaced": ("Normal", "PodReplaced"),
    "Blocked": ("Warning", "LeakGuardBlocked"),
}


def terms_of(plan: Plan | None, desired: Iterable[Desired]) -> Terms | None:
    """Returns the terms; None without the guard, or if pods of the app have no memory limit.

    Args:
        plan: The numbers; None if the spec cannot be parsed.
        desired: The desired objects.
    """
    guard = plan.leak_guard if plan is not None else None
    if guard is None:
        return None
    limit = next(filter(None, map(_limit, desired)), None)
    if limit is None:
        return None
    most = max(limit, guard.memory_most_bytes.value) if guard.resizes else limit
    return Terms(automatic=guard.automatic, limit_bytes=limit, most_bytes=most)


def _limit(desired: Desired) -> int | None:
    """Returns the memory limit of the app's container in its Deployment; None in other objects."""
    if desired.part is not Part.APP or desired.key.kind != DEPLOYMENT.kind:
        return None
    return memory_limit(desired.body["spec"]["template"]["spec"])


def memory_limit(pod: Mapping[str, Any]) -> int | None:
    """Returns the memory limit of the app's container in the spec of a pod; None without one."""
    for container in pod["containers"]:
        if container["name"] == Part.APP.record.container:
            found = ((container.get("resources") or {}).get("limits") or {}).get("memory")
            return None if found is None else quantity.size_bytes(found)
    return None


def stored_leak(status: Mapping[str, Any]) -> LeakStatus | None:
    """Returns the report in a stored status."""
    found = status.get("leak")
    return LeakStatus.model_validate(found) if found else None


def leak_events(
    before: Mapping[str, Any], leak: LeakStatus | None
) -> Iterator[tuple[Literal["Normal", "Warning"], str, str]]:
    """Yields type, reason and message of the Event about a new report.

    Args:
        before: The stored status.
        leak: The new report.
    """
    if leak is not None and leak != stored_leak(before):
        yield (*_EVENTS[leak.state], leak.message)
