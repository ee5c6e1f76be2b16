"""Alerts on autoscaling, rollouts, migrations, parts and the operator itself."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.alerts import canary
from fastapi_operator.observability.alerts.alert import NUMBER, PERCENT, SECONDS, Alert
from fastapi_operator.observability.alerts.load import CPU_PER_WORKER
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import SERVICE, by_service, service_from
from fastapi_operator.observability.units import percent
from fastapi_operator.tuning import figures


def _autoscaler(expression: str) -> str:
    named = service_from("horizontalpodautoscaler", "(?:keda-hpa-)?(.+)", f"({expression})")
    return f"{named} and on ({SERVICE}) fastapi_operator_planned"


_DESIRED = "kube_horizontalpodautoscaler_status_desired_replicas"
_ADMITTED = (
    by_service("avg_over_time(http_server_active_requests[5m])")
    + f" / on ({SERVICE}) ("
    + by_service("fastapi_worker_processes")
    + f" * on ({SERVICE}) {planned_series('server.max_in_flight')})"
)
# Reasons with alerts of their own.
_BEFORE_RELEASE = "PreflightFailed|MigrationFailed"
ROLLOUT = (
    Alert(
        name="FastAPIAutoscalerAtMax",
        group="rollout",
        condition="the autoscaler has as many pods as it permits",
        expression=_autoscaler(
            "kube_horizontalpodautoscaler_status_current_replicas "
            ">= kube_horizontalpodautoscaler_spec_max_replicas "
            "> kube_horizontalpodautoscaler_spec_min_replicas"
        ),
        held="15m",
        summary=f"the autoscaler is at its maximum of {NUMBER} pods",
        page="autoscaler-at-max",
    ),
    Alert(
        name="FastAPIAutoscalerBlind",
        group="rollout",
        condition="the requests in flight exceed "
        f"{percent(figures.IN_FLIGHT_FILL / figures.SHED_FACTOR)} of the number that the pods "
        f"accept, the workers use less than {bounds.THREADS_CPU_MAX:g} cores each, and the "
        "autoscaler requests no further pods",
        expression=f"{_ADMITTED} > {figures.IN_FLIGHT_FILL / figures.SHED_FACTOR}\n"
        f"and on ({SERVICE}) ({CPU_PER_WORKER}) < {bounds.THREADS_CPU_MAX}\n"
        f"and on ({SERVICE}) ("
        + _autoscaler(f"{_DESIRED} < kube_horizontalpodautoscaler_spec_max_replicas")
        + ")",
        held="10m",
        summary=f"{PERCENT} of the requests that the pods accept are in flight, but the autoscaler "
        "measures only CPU, which is low",
        page="autoscaler-blind",
    ),
    Alert(
        name="FastAPIAutoscalerFlapping",
        group="rollout",
        condition=f"the autoscaler changed the number of pods more than {bounds.SCALINGS_PER_HOUR} "
        f"times within an hour, at least {bounds.SCALINGS_DOWN_PER_HOUR} times downwards",
        # resets() counts each decrease, as if the gauge were a counter.
        expression=_autoscaler(
            f"changes({_DESIRED}[1h]) > {bounds.SCALINGS_PER_HOUR} "
            f"and resets({_DESIRED}[1h]) >= {bounds.SCALINGS_DOWN_PER_HOUR}"
        ),
        held="0m",
        summary=f"the autoscaler changed the number of pods {NUMBER} times within an hour, up and "
        "down",
        page="autoscaler-flapping",
    ),
    Alert(
        name="FastAPIMigrationFailed",
        group="rollout",
        condition="the migration Job of the requested version failed",
        expression=f"max by ({SERVICE}, reason) "
        '(fastapi_operator_condition{condition="MigrationsReady", reason="MigrationFailed"}) == 1',
        held="1m",
        summary="the migration failed ({{ $labels.reason }}); the old version continues to serve",
        page="migration-failed",
    ),
    Alert(
        name="FastAPIPreflightFailed",
        group="rollout",
        condition="the app of the requested image cannot be imported",
        expression=f"max by ({SERVICE}, reason) "
        '(fastapi_operator_condition{condition="PreflightReady", reason="PreflightFailed"}) == 1',
        held="1m",
        summary="the new image cannot start ({{ $labels.reason }}); the old version continues to "
        "serve",
        page="preflight-failed",
    ),
    Alert(
        name="FastAPIRolloutStuck",
        group="rollout",
        condition="the condition ApplicationReady is False and neither a preflight nor a migration "
        "is in the way",
        expression=f"max by ({SERVICE}, reason) "
        '(fastapi_operator_condition{condition="ApplicationReady"}) == 1\n'
        f"unless on ({SERVICE}) "
        'fastapi_operator_condition{condition=~"PreflightReady|MigrationsReady"}',
        held="15m",
        summary="the app's pods do not become ready ({{ $labels.reason }})",
        page="rollout-stuck",
    ),
    Alert(
        name="FastAPIServiceStalled",
        group="rollout",
        condition="the condition Stalled is True",
        expression=f"max by ({SERVICE}, reason) (fastapi_operator_condition"
        f'{{condition="Stalled", reason!~"{_BEFORE_RELEASE}|{canary.REASONS}"}}) == 1',
        held="10m",
        summary="the operator cannot continue until the problem is fixed ({{ $labels.reason }})",
        page="service-stalled",
    ),
    Alert(
        name="FastAPIPartNotReady",
        group="rollout",
        condition="the condition of a part other than the app, its preflight and its migration is "
        "False",
        expression=f"max by ({SERVICE}, condition, reason) (fastapi_operator_condition"
        '{condition!~"Stalled|ApplicationReady|PreflightReady|MigrationsReady"}) == 1',
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
        condition="no operator process worked within the last 5 minutes: none is the leader with "
        "access to the API server, or Prometheus receives no samples",
        # The window spans the time between two starts of a process that exits again and again.
        expression="max by (namespace, job) (max_over_time(fastapi_operator_working[5m])) == 0\n"
        "or absent_over_time(fastapi_operator_working[5m])",
        held="5m",
        summary="the FastAPI operator does not work (value {{ $value }}; 1: no samples): it has no "
        "access to the API server, does not run or is not scraped. Services continue to run, but "
        "drift is not repaired",
        page="operator-down",
    ),
    Alert(
        name="FastAPIOperatorQueueWait",
        group="operator",
        condition="a service has been due for reconciliation for more than "
        f"{bounds.OPERATOR_QUEUE_WAIT_SECONDS} seconds",
        expression="max (fastapi_operator_queue_oldest_wait_seconds)"
        f" > {bounds.OPERATOR_QUEUE_WAIT_SECONDS}",
        held="5m",
        summary=f"a service has been due for reconciliation for {SECONDS}",
        page="operator-queue-wait",
    ),
    Alert(
        name="FastAPIOperatorPassesFail",
        group="operator",
        condition=f"at least {bounds.FAILED_PASSES} reconciliations within 15 minutes ended with "
        "error, refused or retry",
        expression=f"sum by (outcome) (increase({_FAILED_PASSES}[15m])) >= {bounds.FAILED_PASSES}",
        held="5m",
        summary=f"{NUMBER} reconciliations within 15 minutes ended with {{{{ $labels.outcome }}}}",
        page="operator-passes-fail",
    ),
    Alert(
        name="FastAPIOperatorDeleteBrake",
        group="operator",
        condition="the operator stopped pruning because more than 10 objects of existing services "
        "were due for deletion within a minute",
        expression="max (fastapi_operator_delete_brake) == 1",
        held="1m",
        summary="the operator stopped deleting objects (brake {{ $value }}): too many were due "
        "within a minute",
        page="operator-delete-brake",
    ),
    Alert(
        name="FastAPIOperatorDriftLoop",
        group="operator",
        condition=f"the operator repaired more than {bounds.DRIFT_WRITES} objects of one kind "
        "within 15 minutes",
        expression='sum by (kind) (increase(fastapi_operator_writes_total{why="drift"}[15m]))'
        f" > {bounds.DRIFT_WRITES}",
        held="15m",
        summary=f"{NUMBER} repairs of {{{{ $labels.kind }}}} within 15 minutes: another manager "
        "writes the same fields",
        page="operator-drift-loop",
    ),
)
