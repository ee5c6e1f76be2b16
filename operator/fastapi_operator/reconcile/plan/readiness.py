"""Whether a workload serves: with at least the smallest number of pods that its service needs.

An autoscaler may request more pods at any time. Pods beyond the smallest number are progress while
they start, and no reason to report the service as not ready. Fewer are an outage, also if a user
scaled the workload: its own ``spec.replicas`` is not a measure of readiness.
"""

from fastapi_operator.cluster.kinds import DEPLOYMENT, STATEFUL_SET
from fastapi_operator.reconcile.observe import health
from fastapi_operator.reconcile.observe.observed import Child, Health, Replicas
from fastapi_operator.resources.desired import Desired

SCALING = "ScalingOut"
_WORKLOADS = frozenset({DEPLOYMENT.kind, STATEFUL_SET.kind})


def child_health(desired: Desired, child: Child) -> Health:
    """Returns the health of a live object, for a workload by the pods that it needs at least."""
    pods, found = child.replicas, child.health
    if desired.key.kind not in _WORKLOADS or pods is None:
        return found
    if child.deleting or found.reason == health.UNOBSERVED:
        return found
    least: int = desired.body.get("spec", {}).get("replicas", 1)
    if pods.available < least:
        is_explained = not found.ready and pods.wanted >= least
        return found if is_explained else _too_few(desired, pods, least)
    if desired.key.kind == STATEFUL_SET.kind or pods.live > pods.updated:
        return found
    return _enough(desired, found, pods, least)


def _enough(desired: Desired, found: Health, pods: Replicas, least: int) -> Health:
    if least == 0 and not desired.hands_over_replicas:
        return Health(True, message="0 pods are requested, so that no request is served")
    if found.ready:
        return found
    message = f"{pods.available} of {pods.wanted} pods are ready, {least} are needed"
    return Health(True, SCALING, f"{message}: {found.message}" if found.failed else message)


def _too_few(desired: Desired, pods: Replicas, least: int) -> Health:
    message = f"{pods.available} of {least} pods are ready"
    if pods.wanted < least:
        by_autoscaler = ", which disables its autoscaler" if desired.hands_over_replicas else ""
        message += (
            f": it was scaled to {pods.wanted}{by_autoscaler if not pods.wanted else ''}; the "
            "operator restores the number unless spec.suspend is true"
        )
    return Health(False, "PodsNotReady", message)
