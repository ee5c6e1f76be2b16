"""How many app pods, and how the autoscaler moves between the bounds."""

import math
from collections.abc import Iterator

from fastapi_operator.api.scaling import Scaling
from fastapi_operator.api.service import Spec
from fastapi_operator.api.workload import Rollout
from fastapi_operator.facts import SCALED_OBJECT, Facts
from fastapi_operator.problems import Problem, Severity, Stage, missing_api
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.budget import ConnectionRoom, most_replicas
from fastapi_operator.tuning.canary import largest_share
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import ScalingPlan, ServerCore
from fastapi_operator.tuning.profile import ProfiledSpec

SCALING = Group("scaling", effects.OBJECT_NONE)
_UP = "grows by the larger of 100% and 4 pods each 15 s (Kubernetes' default): a burst is short"
_DOWN = "shrinks by a tenth a minute, so that a short lull costs little"


def scaling_plan(
    profiled: ProfiledSpec, core: ServerCore, room: ConnectionRoom | None
) -> ScalingPlan:
    """Decides the bounds of the autoscaler, or the fixed number of pods.

    Args:
        profiled: The spec and its profile.
        core: The server in each pod.
        room: The connections that the pods share; None without a database.
    """
    spec = profiled.spec
    scaling, load = spec.scaling or Scaling(), profiled.load
    decided = SCALING.decide(
        profiled,
        fixed=scaling.replicas,
        allowed=allowed_replicas(profiled),
        workers=core.workers,
        concurrency=core.concurrency,
        peak_requests_per_second=load.value("peak_requests_per_second"),
        # A ceiling costs nothing until it is needed, so a measured peak only raises it.
        least_replicas=load.only_if_measured(
            figures.REPLICAS_MAX_UNKNOWN, 1, "peak_requests_per_second"
        ),
        cpu_milliseconds=load.value(
            "cpu_milliseconds_per_request", figures.CPU_MILLISECONDS_PER_REQUEST
        ),
        per_process=room and room.per_process,
        connections=room and room.connections,
        other_connections=room.others if room else 0,
        canary_percent=largest_share(spec),
        by_keda=scaling.engine == "Keda",
    )
    return ScalingPlan(**decided)


def allowed_replicas(profiled: ProfiledSpec) -> int | None:
    """Returns the most replicas that spec and profile allow; None if neither bounds them."""
    scaling = profiled.spec.scaling or Scaling()
    if scaling.replicas is not None:
        return scaling.replicas
    bounds = (scaling.max_replicas, profiled.most("scaling.maxReplicas"))
    return min((bound for bound in bounds if bound is not None), default=None)


def rollout_deadline_seconds(spec: Spec) -> int:
    """Returns the seconds after which a rollout of the app without progress has failed."""
    return (spec.rollout or Rollout()).deadline_seconds or figures.PROGRESS_DEADLINE_SECONDS


def scaling_problems(spec: Spec, facts: Facts) -> Iterator[Problem]:
    """Reports what keeps KEDA from scaling the service."""
    if spec.scaling is None or spec.scaling.engine != "Keda":
        return
    if not facts.offers(SCALED_OBJECT):
        yield missing_api(
            "spec.scaling.engine",
            SCALED_OBJECT,
            "install KEDA, or remove engine and keda; offline, name the API in --facts",
        )
    metrics = spec.observability and spec.observability.metrics
    if metrics and metrics.enabled is False:
        yield Problem(
            severity=Severity.ERROR,
            stage=Stage.PLAN,
            path="spec.observability.metrics.enabled",
            message="KEDA cannot read requests under way: the app has no metrics port",
            remedy="remove enabled: false, or spec.scaling.engine: Keda",
        )


@SCALING.number()
def _autoscaled(*, fixed: int | None) -> Because[bool]:
    """True, unless `spec.scaling.replicas` is set."""
    if fixed is None:
        return Because(True, "spec.scaling.replicas is not set, so load decides")
    return Because(False, "spec.scaling.replicas fixes the number")


@SCALING.number(
    unit="pods",
    field=("scaling.replicas", "scaling.minReplicas"),
    headline=True,
)
def _min_replicas(*, allowed: int | None) -> Because[int]:
    """2, or 1 if at most one is allowed.

    One pod may be lost or replaced while another serves.
    """
    if allowed == 1:
        return Because(1, "at most one pod is allowed (spec.scaling.maxReplicas)")
    return Because(figures.REPLICAS_MIN, "one pod may be lost or replaced while another serves")


@SCALING.number(field="rollout.maxSurge")
def _max_surge() -> Because[int | str]:
    """25%.

    Kubernetes rounds it up. It counts in the connection budget: without it, a rollout at full size
    would break the budget (judgement).
    """
    return Because(
        f"{figures.SURGE_PERCENT}%",
        "pods that a rollout starts before it stops old ones; it stops none before",
    )


@SCALING.number(
    unit="pods",
    field=("scaling.replicas", "scaling.maxReplicas"),
    ceiling="scaling.maxReplicas",
    headline=True,
    tunable=True,
)
def _max_replicas(
    *,
    min_replicas: int,
    workers: int,
    peak_requests_per_second: float | None,
    cpu_milliseconds: float,
    least_replicas: int,
    per_process: int | None,
    connections: int | None,
    other_connections: int,
    max_surge: int | str,
    canary_percent: int,
) -> Because[int]:
    """2 · ⌈λ · c / 1000 / 0.6 / W⌉, at most 1000; 10 if λ is unknown.

    Twice the pods that are 60 % busy at the peak (judgement), and at most the pods that connections
    allow: with a pooler its client connections, without one the database's at three a process.
    """
    if peak_requests_per_second is None:
        wanted = max(figures.REPLICAS_MAX_UNKNOWN, min_replicas)
        reason = "a middle value: spec.traffic.peakRequestsPerSecond is not set"
    else:
        cores = peak_requests_per_second * cpu_milliseconds / 1000
        needed = math.ceil(cores / figures.FLEET_BUSY / workers)
        most = figures.REPLICAS_SET_MAX
        wanted = min(max(figures.REPLICAS_HEADROOM * needed, min_replicas, least_replicas), most)
        reason = (
            "{peak_requests_per_second} requests a second at {cpu_milliseconds} ms of CPU keep "
            f"{needed} pods {figures.FLEET_BUSY:.0%} busy; twice as many for growth, at most {most}"
        )
    if per_process is None or connections is None:
        return Because(wanted, reason)
    left = max(0, connections - other_connections)
    pods = left // (workers * per_process)
    fitting = max(most_replicas(pods, max_surge, canary_percent), min_replicas)
    if fitting >= wanted:
        return Because(wanted, reason)
    others = ", {other_connections} from background processes" if other_connections else ""
    canary = " and canary" if canary_percent else ""
    return Because(
        fitting,
        "{connections} connections are available, {per_process} for each process, rollout surge"
        f"{canary} included{others}; the load alone would allow {wanted}",
    )


SCALING.constant(
    "target_cpu_percent",
    figures.TARGET_CPU_PERCENT,
    "leaves a third of the request for the minute in which new pods start",
    field="scaling.targetCpuPercent",
    evidence="judgement",
)


@SCALING.number(unit="requests", field="scaling.targetInFlight")
def _target_in_flight(*, concurrency: int, workers: int, by_keda: bool) -> Because[int]:
    """⌈0.7 · concurrency · W⌉ with KEDA, otherwise 0 for none; beside CPU.

    0.7 is the share that Knative aims at. Without KEDA it needs a custom metrics API.
    """
    fitting = math.ceil(figures.IN_FLIGHT_FILL * concurrency * workers)
    share = f"{figures.IN_FLIGHT_FILL:.0%} of what a pod sustains"
    if by_keda:
        return Because(fitting, share)
    return Because(
        0,
        "0 is none: CPU alone decides, since requests under way need KEDA or a custom metrics API; "
        f"with one, {fitting} would be {share}",
    )


@SCALING.number(field="rollout.maxUnavailable")
def _max_unavailable() -> Because[int | str]:
    """0."""
    return Because(0, "a rollout stops no pod before its replacement serves")


_K8S = "Kubernetes' default"
SCALING.constant("scale_up_percent", 100, _UP, evidence=_K8S)
SCALING.constant("scale_up_pods", 4, _UP, unit="pods", evidence=_K8S)
SCALING.constant("scale_up_period_seconds", 15, _UP, evidence=_K8S)
SCALING.constant("scale_down_percent", 10, _DOWN, evidence=f"judgement; {_K8S} is 100")
SCALING.constant("scale_down_period_seconds", 60, _DOWN, evidence="judgement")
SCALING.constant(
    "max_disrupted",
    1,
    "pods that a drain of nodes may stop at once",
    field="availability.disruptionBudget.maxUnavailable",
    evidence="judgement",
)
SCALING.constant(
    "scale_down_seconds",
    300,
    "a lull of minutes is not the end of the load",
    field="scaling.scaleDownSeconds",
    evidence=_K8S,
)
