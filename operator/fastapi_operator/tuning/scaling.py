"""How many app pods, and how the autoscaler moves between the bounds."""

import math
from collections.abc import Iterator

from fastapi_operator.api.compute import Traffic
from fastapi_operator.api.scaling import Scaling
from fastapi_operator.api.service import Spec
from fastapi_operator.api.workload import Availability, DisruptionBudget, Rollout
from fastapi_operator.facts import SCALED_OBJECT, Facts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.budget import ConnectionRoom, most_replicas
from fastapi_operator.tuning.decision import Because, Decision, decide, fixed, overridden
from fastapi_operator.tuning.plan import ScalingPlan, ServerPlan


def scaling_plan(spec: Spec, server: ServerPlan, room: ConnectionRoom | None) -> ScalingPlan:
    """The bounds of the autoscaler, or the fixed number of pods.

    Args:
        spec: What the user said.
        server: The server in each pod.
        room: The connections that the pods have to share; None without a database.
    """
    scaling = spec.scaling or Scaling()
    traffic = spec.traffic or Traffic()
    rollout = spec.rollout or Rollout()
    fixed = scaling.replicas
    surge: Decision[int | str] = decide(
        "scaling.max_surge",
        _max_surge,
        unit="",
        override=overridden(rollout.max_surge, "spec.rollout.maxSurge"),
        effect=effects.OBJECT_NONE,
    )
    min_replicas = decide(
        "scaling.min_replicas",
        _min_replicas,
        unit="pods",
        override=overridden(fixed, "spec.scaling.replicas")
        or overridden(scaling.min_replicas, "spec.scaling.minReplicas"),
        max_replicas=scaling.max_replicas,
        effect=effects.OBJECT_NONE,
    )
    return ScalingPlan(
        autoscaled=decide(
            "scaling.autoscaled",
            _autoscaled,
            unit="",
            fixed=fixed,
            effect=effects.OBJECT_NONE,
        ),
        min_replicas=min_replicas,
        max_replicas=decide(
            "scaling.max_replicas",
            _max_replicas,
            unit="pods",
            override=overridden(fixed, "spec.scaling.replicas")
            or overridden(scaling.max_replicas, "spec.scaling.maxReplicas"),
            min_replicas=min_replicas,
            workers=server.workers,
            peak_requests_per_second=traffic.peak_requests_per_second,
            cpu_milliseconds=traffic.cpu_milliseconds_per_request
            or figures.CPU_MILLISECONDS_PER_REQUEST,
            per_process=room and room.per_process,
            connections=room and room.connections,
            other_connections=room.others if room else 0,
            surge=surge,
            effect=effects.OBJECT_NONE,
        ),
        target_cpu_percent=decide(
            "scaling.target_cpu_percent",
            _target_cpu_percent,
            unit="percent",
            override=overridden(scaling.target_cpu_percent, "spec.scaling.targetCpuPercent"),
            effect=effects.OBJECT_NONE,
        ),
        target_in_flight=decide(
            "scaling.target_in_flight",
            _target_in_flight,
            unit="requests",
            override=overridden(scaling.target_in_flight, "spec.scaling.targetInFlight"),
            concurrency=server.concurrency,
            workers=server.workers,
            by_keda=scaling.engine == "Keda",
            effect=effects.OBJECT_NONE,
        ),
        max_surge=surge,
        max_unavailable=decide(
            "scaling.max_unavailable",
            _max_unavailable,
            unit="",
            override=overridden(rollout.max_unavailable, "spec.rollout.maxUnavailable"),
            effect=effects.OBJECT_NONE,
        ),
        **_steps(),
        max_disrupted=_max_disrupted(spec),
        scale_down_seconds=decide(
            "scaling.scale_down_seconds",
            _scale_down_seconds,
            unit="seconds",
            override=overridden(scaling.scale_down_seconds, "spec.scaling.scaleDownSeconds"),
            effect=effects.OBJECT_NONE,
        ),
    )


def scaling_problems(spec: Spec, facts: Facts) -> Iterator[Problem]:
    """What keeps KEDA from scaling the service."""
    if spec.scaling is None or spec.scaling.engine != "Keda":
        return
    if not facts.offers(SCALED_OBJECT):
        yield Problem(
            severity=Severity.ERROR,
            stage=Stage.PLAN,
            path="spec.scaling.engine",
            message=f"the cluster does not serve {SCALED_OBJECT}",
            remedy="install KEDA, or remove type and keda; offline, name the API in --facts",
        )
    metrics = spec.observability and spec.observability.metrics
    if metrics and metrics.enabled is False:
        yield Problem(
            severity=Severity.ERROR,
            stage=Stage.PLAN,
            path="spec.observability.metrics.enabled",
            message="KEDA has no requests under way to read where the app has no metrics port",
            remedy="remove enabled: false, or spec.scaling.engine: Keda",
        )


def _steps() -> dict[str, Decision[int]]:
    """How fast the autoscaler may move between the bounds."""
    up = "grows by the larger of 100% and 4 pods each 15 s (Kubernetes' default): a burst is short"
    down = "shrinks by a tenth a minute, so that a lull that was none costs little"
    figure_of = {
        "scale_up_percent": (figures.SCALE_UP_PERCENT, "percent", up),
        "scale_up_pods": (figures.SCALE_UP_PODS, "pods", up),
        "scale_up_period_seconds": (figures.SCALE_UP_PERIOD_SECONDS, "seconds", up),
        "scale_down_percent": (figures.SCALE_DOWN_PERCENT, "percent", down),
        "scale_down_period_seconds": (figures.SCALE_DOWN_PERIOD_SECONDS, "seconds", down),
    }
    return {
        name: fixed(f"scaling.{name}", value, reason, unit=unit, effect=effects.OBJECT_NONE)
        for name, (value, unit, reason) in figure_of.items()
    }


def _max_disrupted(spec: Spec) -> Decision[int | str]:
    availability = spec.availability or Availability()
    budget = availability.disruption_budget or DisruptionBudget()
    return fixed(
        "scaling.max_disrupted",
        figures.DISRUPTED_PODS,
        "pods that may be away at once while nodes are drained",
        unit="",
        effect=effects.OBJECT_NONE,
        override=overridden(
            budget.max_unavailable, "spec.availability.disruptionBudget.maxUnavailable"
        ),
    )


def _autoscaled(*, fixed: int | None) -> Because[bool]:
    if fixed is None:
        return Because(True, "spec.scaling.replicas is not set, so load decides")
    return Because(False, "spec.scaling.replicas fixes the number")


def _min_replicas(*, max_replicas: int | None) -> Because[int]:
    if max_replicas == 1:
        return Because(1, "spec.scaling.maxReplicas allows one")
    return Because(figures.REPLICAS_MIN, "one pod may be lost or replaced while another serves")


def _max_replicas(
    *,
    min_replicas: int,
    workers: int,
    peak_requests_per_second: int | None,
    cpu_milliseconds: int,
    per_process: int | None,
    connections: int | None,
    other_connections: int,
    surge: int | str,
) -> Because[int]:
    if peak_requests_per_second is None:
        wanted = max(figures.REPLICAS_MAX_UNKNOWN, min_replicas)
        reason = "spec.traffic.peakRequestsPerSecond is not set, so a middle value"
    else:
        cores = peak_requests_per_second * cpu_milliseconds / 1000
        needed = math.ceil(cores / figures.FLEET_BUSY / workers)
        wanted = max(figures.REPLICAS_HEADROOM * needed, min_replicas)
        reason = (
            "{peak_requests_per_second} requests a second at {cpu_milliseconds} ms of CPU keep "
            f"{needed} pods {figures.FLEET_BUSY:.0%} busy; twice as many for growth"
        )
    if per_process is None or connections is None:
        return Because(wanted, reason)
    left = max(0, connections - other_connections)
    most = most_replicas(left // (workers * per_process), surge)
    fitting = max(most, min_replicas)
    if fitting < wanted:
        return Because(
            fitting,
            "{connections} connections are there, {per_process} for each process, rollout surge "
            "included"
            + (", {other_connections} from background processes" if other_connections else "")
            + f"; the load alone would allow {wanted}",
        )
    return Because(wanted, reason)


def _target_cpu_percent() -> Because[int]:
    return Because(
        figures.TARGET_CPU_PERCENT,
        "leaves a third of the request for the minute in which new pods start",
    )


def _target_in_flight(*, concurrency: int, workers: int, by_keda: bool) -> Because[int]:
    fitting = math.ceil(figures.IN_FLIGHT_FILL * concurrency * workers)
    if by_keda:
        return Because(fitting, f"{figures.IN_FLIGHT_FILL:.0%} of what a pod sustains")
    return Because(
        0,
        "0 is none: CPU alone decides, since requests under way need KEDA or a custom metrics "
        f"API; with one, {fitting} would be {figures.IN_FLIGHT_FILL:.0%} of what a pod sustains",
    )


def _max_unavailable() -> Because[int | str]:
    return Because(0, "a rollout takes no pod away before its replacement serves")


def _max_surge() -> Because[int | str]:
    return Because(
        f"{figures.SURGE_PERCENT}%",
        "new pods a rollout starts before old ones stop; none is taken away",
    )


def _scale_down_seconds() -> Because[int]:
    return Because(
        figures.SCALE_DOWN_STABILIZATION_SECONDS, "a lull of minutes is not the end of the load"
    )
