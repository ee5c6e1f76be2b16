"""What keeps a service from growing, from a new version, or from being looked after."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.alerts.alert import NUMBER, PERCENT, SECONDS, Alert
from fastapi_operator.observability.alerts.load import CPU_PER_WORKER
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import SERVICE, by_service, service_from
from fastapi_operator.tuning import figures


def _autoscaler(expression: str) -> str:
    named = service_from("horizontalpodautoscaler", "(?:keda-hpa-)?(.+)", f"({expression})")
    return f"{named} and on ({SERVICE}) fastapi_operator_planned"


_WANTED = "kube_horizontalpodautoscaler_status_desired_replicas"
_ADMITTED = (
    by_service("avg_over_time(http_server_active_requests[5m])")
    + f" / on ({SERVICE}) ("
    + by_service("fastapi_worker_processes")
    + f" * on ({SERVICE}) {planned_series('server.max_in_flight')})"
)
ROLLOUT = (
    Alert(
        name="FastAPIAutoscalerAtMax",
        group="rollout",
        expression=_autoscaler(
            "kube_horizontalpodautoscaler_status_current_replicas "
            ">= kube_horizontalpodautoscaler_spec_max_replicas "
            "> kube_horizontalpodautoscaler_spec_min_replicas"
        ),
        held="15m",
        summary=f"the autoscaler has been at its ceiling of {NUMBER} pods",
        page="autoscaler-at-max",
    ),
    Alert(
        name="FastAPIAutoscalerBlind",
        group="rollout",
        expression=f"{_ADMITTED} > {figures.IN_FLIGHT_FILL / figures.SHED_FACTOR}\n"
        f"and on ({SERVICE}) ({CPU_PER_WORKER}) < {bounds.THREADS_CPU_MAX}\n"
        f"and on ({SERVICE}) ("
        + _autoscaler(f"{_WANTED} < kube_horizontalpodautoscaler_spec_max_replicas")
        + ")",
        held="10m",
        summary=f"{PERCENT} of the requests that the pods admit are in flight and hardly use CPU, "
        "which is all that the autoscaler sees",
        page="autoscaler-blind",
    ),
    Alert(
        name="FastAPIAutoscalerFlapping",
        group="rollout",
        # To a counter's eye each step downwards is a reset.
        expression=_autoscaler(
            f"changes({_WANTED}[1h]) > {bounds.SCALINGS_PER_HOUR} "
            f"and resets({_WANTED}[1h]) >= {bounds.SCALINGS_DOWN_PER_HOUR}"
        ),
        held="0m",
        summary=f"the autoscaler changed its mind {NUMBER} times in an hour, up and down",
        page="autoscaler-flapping",
    ),
    Alert(
        name="FastAPIMigrationFailed",
        group="rollout",
        expression=f"max by ({SERVICE}, reason) "
        '(fastapi_operator_condition{condition="MigrationsReady", reason="MigrationFailed"}) == 1',
        held="1m",
        summary="the migration failed ({{ $labels.reason }}); the old version goes on serving",
        page="migration-failed",
    ),
    Alert(
        name="FastAPIRolloutStuck",
        group="rollout",
        expression=f"max by ({SERVICE}, reason) "
        '(fastapi_operator_condition{condition="ApplicationReady"}) == 1\n'
        f'unless on ({SERVICE}) fastapi_operator_condition{{condition="MigrationsReady"}}',
        held="15m",
        summary="the app's pods have not become ready ({{ $labels.reason }})",
        page="rollout-stuck",
    ),
    Alert(
        name="FastAPIServiceStalled",
        group="rollout",
        expression=f"max by ({SERVICE}, reason) "
        '(fastapi_operator_condition{condition="Stalled", reason!="MigrationFailed"}) == 1',
        held="10m",
        summary="the operator cannot go on before somebody acts ({{ $labels.reason }})",
        page="service-stalled",
    ),
    Alert(
        name="FastAPIPartNotReady",
        group="rollout",
        expression=f"max by ({SERVICE}, condition, reason) (fastapi_operator_condition"
        '{condition!~"Stalled|ApplicationReady|MigrationsReady"}) == 1',
        held="15m",
        summary="{{ $labels.condition }} is False ({{ $labels.reason }})",
        page="part-not-ready",
    ),
)

_FAILED_PASSES = 'fastapi_operator_pass_duration_seconds_count{outcome=~"error|refused|retry"}'
OPERATOR = (
    Alert(
        name="FastAPIOperatorDown",
        group="operator",
        expression="absent(fastapi_operator_queue_depth)",
        held="10m",
        summary="no sample of the FastAPI operator ({{ $value }} series missing): it does not run, "
        "or nobody scrapes it; services go on, but nothing is repaired",
        page="operator-down",
    ),
    Alert(
        name="FastAPIOperatorQueueWait",
        group="operator",
        expression="max (fastapi_operator_queue_oldest_wait_seconds)"
        f" > {bounds.OPERATOR_QUEUE_WAIT_SECONDS}",
        held="5m",
        summary=f"a service has waited {SECONDS} for the operator",
        page="operator-queue-wait",
    ),
    Alert(
        name="FastAPIOperatorPassesFail",
        group="operator",
        expression=f"sum by (outcome) (increase({_FAILED_PASSES}[15m])) >= {bounds.FAILED_PASSES}",
        held="5m",
        summary=f"{NUMBER} passes in 15 minutes ended with {{{{ $labels.outcome }}}}",
        page="operator-passes-fail",
    ),
    Alert(
        name="FastAPIOperatorDeleteBrake",
        group="operator",
        expression="max (fastapi_operator_delete_brake) == 1",
        held="1m",
        summary="the operator stopped deleting (brake {{ $value }}): too many objects were to go "
        "within a minute",
        page="operator-delete-brake",
    ),
    Alert(
        name="FastAPIOperatorDriftLoop",
        group="operator",
        expression='sum by (kind) (increase(fastapi_operator_writes_total{why="drift"}[15m]))'
        f" > {bounds.DRIFT_WRITES}",
        held="15m",
        summary=f"{NUMBER} repairs of {{{{ $labels.kind }}}} in 15 minutes: somebody else writes "
        "the same fields",
        page="operator-drift-loop",
    ),
)
