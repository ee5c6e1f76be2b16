"""The operator itself."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.grafana import Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.promql import largest, quantile, rate

_EVERYWHERE = ""
_PASSES = "fastapi_operator_pass_duration_seconds"

STATE = Row(
    title="State",
    height=6,
    panels=(
        Panel(
            title="Working processes",
            text="1 if a leader has access to the API server. 0: see the runbook operator-down.",
            unit=Unit.NONE,
            kind="stat",
            width=4,
            bounds=(0.5, 1),
            low=True,
            queries=(Query("sum by (namespace, job) (fastapi_operator_working)", "{{namespace}}"),),
        ),
        Panel(
            title="Delete brake",
            text="1 while pruning is stopped because of too many deletions. See the runbook "
            "operator-delete-brake.",
            unit=Unit.NONE,
            kind="stat",
            width=4,
            bounds=(0.5, 1),
            most=1,
            queries=(Query("max (fastapi_operator_delete_brake)", "brake"),),
        ),
        Panel(
            title="Services that are due",
            text="If it is above zero for minutes, raise settings.workers, or check the API "
            "server.",
            unit=Unit.NONE,
            queries=(
                Query("sum (fastapi_operator_queue_depth)", "due"),
                Query("sum (fastapi_operator_rollouts_waiting)", "waiting for a rollout slot"),
            ),
        ),
        Panel(
            title="Longest wait",
            text="Above the line, changes are applied late. After five minutes the operator "
            "restarts.",
            unit=Unit.SECONDS,
            bounds=(bounds.OPERATOR_QUEUE_WAIT_SECONDS,),
            queries=(Query("max (fastapi_operator_queue_oldest_wait_seconds)", "longest wait"),),
        ),
    ),
)

WORK = Row(
    title="Work",
    panels=(
        Panel(
            title="Reconciliations by outcome",
            text="error is a fault of the operator, refused a missing permission, retry an API "
            "server that fails. The log names service and request.",
            unit=Unit.PER_SECOND,
            width=6,
            queries=(Query(rate(f"{_PASSES}_count", "outcome", where=_EVERYWHERE), "{{outcome}}"),),
        ),
        Panel(
            title="Duration of a reconciliation, p95",
            text="If it is more than a second, the API server is slow.",
            unit=Unit.SECONDS,
            width=6,
            queries=(Query(quantile(0.95, _PASSES, "outcome", where=_EVERYWHERE), "{{outcome}}"),),
        ),
        Panel(
            title="Services by readiness",
            text="All services of the operator, by their Ready condition.",
            unit=Unit.NONE,
            width=6,
            queries=(Query("sum by (ready) (fastapi_operator_services)", "Ready: {{ready}}"),),
        ),
        Panel(
            title="Measured pods",
            text="Services without a pod that can be read have no recommendations. Unreadable: the "
            "app has no runtime, or a policy closes its metrics port.",
            unit=Unit.PER_SECOND,
            width=6,
            queries=(
                Query(
                    rate("fastapi_operator_observations_total", "outcome", where=_EVERYWHERE),
                    "{{outcome}}",
                ),
            ),
        ),
    ),
)

CLUSTER = Row(
    title="Writes and requests",
    panels=(
        Panel(
            title="Writes by cause",
            text="If drift lasts, another manager writes the same fields.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(rate("fastapi_operator_writes_total", "why", where=_EVERYWHERE), "{{why}}"),
            ),
        ),
        Panel(
            title="Repaired drift by kind",
            text="The kinds that another manager writes. Their managedFields name it.",
            unit=Unit.PER_SECOND,
            empty="No drift",
            queries=(
                Query(
                    rate("fastapi_operator_writes_total", "kind", where='why="drift"'), "{{kind}}"
                ),
            ),
        ),
        Panel(
            title="Watch events",
            text="The five kinds with the most events. If one has many, the operator is busy "
            "without writing: find the client that changes these objects.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(
                    largest(
                        5,
                        rate("fastapi_operator_watch_events_total", "kind", where=_EVERYWHERE),
                        "kind",
                    ),
                    "{{kind}}",
                ),
            ),
        ),
        Panel(
            title="Requests to the API server",
            text="By status code. 0 means no response, 429 an overloaded API server, 403 a missing "
            "permission.",
            unit=Unit.REQUESTS_PER_SECOND,
            width=12,
            queries=(
                Query(
                    rate("fastapi_operator_api_requests_total", "verb", "code", where=_EVERYWHERE),
                    "{{verb}} {{code}}",
                ),
            ),
        ),
        Panel(
            title="Duration of a request, p95",
            text="If it is high, the API server is slow.",
            unit=Unit.SECONDS,
            width=12,
            queries=(
                Query(
                    quantile(
                        0.95,
                        "fastapi_operator_api_request_duration_seconds",
                        "verb",
                        where=_EVERYWHERE,
                    ),
                    "{{verb}}",
                ),
            ),
        ),
    ),
)
