"""Whether the pods at their peak hold the requests that the owner expects to be under way."""

import math
from collections.abc import Iterator

from fastapi_operator.api.compute import Traffic
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import ScalingPlan, ServerCore
from fastapi_operator.tuning.proxy import ProxyPlan


def load_problems(
    spec: Spec, core: ServerCore, scaling: ScalingPlan, proxy: ProxyPlan | None
) -> Iterator[Problem]:
    """Compares requests under way at the peak with what the pods accept.

    Args:
        spec: The spec.
        core: The server in each pod.
        scaling: The bounds of the autoscaler.
        proxy: The proxy, which limits the requests of each pod.
    """
    traffic = spec.traffic or Traffic()
    accepted = core.workers.value * core.max_in_flight.value
    if proxy is not None and proxy.max_connections_per_pod is not None:
        accepted = min(accepted, proxy.max_connections_per_pod.value)
    target = scaling.target_in_flight.value
    if target > accepted:
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.scaling.targetInFlight",
            message=f"is {target}, and a pod gets at most {accepted} requests at once: it never "
            "reaches the target",
            remedy=f"set at most {accepted}, or a larger spec.proxy.maxConnectionsPerPod",
        )
    if traffic.peak_requests_per_second is None:
        return
    milliseconds = traffic.p95_milliseconds or figures.P95_MILLISECONDS
    under_way = math.ceil(traffic.peak_requests_per_second * milliseconds / 1000)
    pod = min(target, accepted) if target else accepted
    if scaling.max_replicas.value * pod < under_way:
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path=scaling.max_replicas.path or "spec.scaling.maxReplicas",
            message=f"{traffic.peak_requests_per_second} requests a second of {milliseconds} ms "
            f"are {under_way} at once; the capacity of {scaling.max_replicas.display()} is "
            f"{scaling.max_replicas.value * pod}",
            remedy=f"allow {math.ceil(under_way / pod)} pods, or lower the cost of a request",
        )
