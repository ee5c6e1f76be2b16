"""The condition ``Overloaded``: who rejects requests, and how to raise the capacity."""

from collections.abc import Iterator

from fastapi_operator.observability import bounds
from fastapi_operator.observability.units import percent
from fastapi_operator.observation.hours import GAP_SECONDS_MAX
from fastapi_operator.observation.rejections import Overload, Rejections
from fastapi_operator.reconcile.plan.conditions import OVERLOADED, Conditions
from fastapi_operator.tuning.plan import Plan

_FEW = f"at most {percent(bounds.SHED)} of the requests"
_OLD = f"no metrics of its pods were read within {GAP_SECONDS_MAX / 60:g} minutes"


def mark_overload(
    conditions: Conditions,
    found: Overload | None,
    plan: Plan | None,
    *,
    service: str,
    pods: int | None,
) -> None:
    """Marks whether a service rejects requests.

    A service that was never measured has no such condition.

    Args:
        conditions: The conditions to add it to.
        found: The newest counts; None keeps the stored condition.
        plan: The numbers; None if the spec cannot be parsed.
        service: The name of the service.
        pods: The live pods of the app, if known.
    """
    tuning = plan.spec.tuning if plan is not None else None
    if tuning is not None and tuning.mode == "Disabled":
        return
    if found is None:
        conditions.keep(OVERLOADED)
    elif not found.known:
        if conditions.is_stored(OVERLOADED):
            conditions.mark_overload_unknown(_OLD)
    elif found.state == "False":
        by = " and ".join(name for name, _ in _counts(found))
        conditions.mark_not_overloaded(f"{_FEW} were rejected by {by}")
    else:
        _, worst = max(_counts(found), key=lambda item: item[1].share)
        reason = "RejectedByProxy" if worst is found.proxy else "RejectedByProcesses"
        rejected = "; ".join(f"{name} rejected {_text(item)}" for name, item in _counts(found))
        remedies = [
            *_remedies(plan, pods, by_proxy=worst is found.proxy),
            f"kubectl fastapi doctor {service} shows what uses the capacity",
        ]
        conditions.mark_overloaded(reason, "; ".join((rejected, *remedies)))


def _counts(found: Overload) -> Iterator[tuple[str, Rejections]]:
    if found.proxy is not None:
        yield "the proxy", found.proxy
    if found.processes is not None:
        yield "processes of the app", found.processes


def _text(found: Rejections) -> str:
    pods = f"{found.pods} pod" if found.pods == 1 else f"{found.pods} pods"
    return (
        f"{found.rejected:.0f} of {found.requests:.0f} requests ({percent(found.share)}) of "
        f"{pods} in {found.seconds:.0f} s"
    )


def _remedies(plan: Plan | None, pods: int | None, *, by_proxy: bool) -> Iterator[str]:
    """Yields what would raise the capacity."""
    if plan is None:
        return
    scaling, limit = plan.scaling, plan.compute.cpu_limit_millicores
    most = scaling.max_replicas.value
    if not scaling.autoscaled.value:
        yield f"raise spec.scaling.replicas ({most})"
    elif pods is not None and pods >= most:
        yield f"all {most} pods of spec.scaling.maxReplicas run: raise it"
    else:
        least = scaling.min_replicas.value
        yield f"the autoscaler starts at most {most} pods: raise spec.scaling.minReplicas ({least})"
    if limit.value:
        yield f"or raise spec.resources.limits.cpu ({limit.display()})"
    slots = plan.proxy.max_connections_per_pod if plan.proxy is not None else None
    if by_proxy and slots is not None:
        yield f"if their CPU is idle, raise spec.proxy.maxConnectionsPerPod ({slots.value})"
