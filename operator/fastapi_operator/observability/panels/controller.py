"""The operator itself."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.grafana import Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.promql import quantile, rate

_EVERYWHERE = ""
_PASSES = "fastapi_operator_pass_duration_seconds"

WORK = Row(
    title="Work",
    panels=(
        Panel(
            title="Services by readiness",
            text="All services of the operator, by their Ready condition and its reason.",
            unit=Unit.NONE,
            queries=(
                Query(
                    "sum by (ready, reason) (fastapi_operator_services) > 0", "{{ready}} {{reason}}"
                ),
            ),
        ),
        Panel(
            title="Passes by outcome",
            text="error is a fault of the operator, refused a missing right, retry an API server "
            "in trouble: the log names service and request.",
            unit=Unit.PER_SECOND,
            queries=(Query(rate(f"{_PASSES}_count", "outcome", where=_EVERYWHERE), "{{outcome}}"),),
        ),
        Panel(
            title="Passes, p95",
            text="Duration of a pass over one service. Seconds mean a slow API server.",
            unit=Unit.SECONDS,
            queries=(Query(quantile(0.95, _PASSES, "outcome", where=_EVERYWHERE), "{{outcome}}"),),
        ),
        Panel(
            title="Services that are due",
            text="Above nought for minutes: raise settings.workers, or look at the API server.",
            unit=Unit.NONE,
            queries=(
                Query("sum (fastapi_operator_queue_depth)", "due"),
                Query("sum (fastapi_operator_rollouts_waiting)", "wait for the new version"),
            ),
        ),
        Panel(
            title="Longest wait",
            text="Above the line changes arrive late; after five minutes it restarts itself.",
            unit=Unit.SECONDS,
            bounds=(bounds.OPERATOR_QUEUE_WAIT_SECONDS,),
            queries=(Query("max (fastapi_operator_queue_oldest_wait_seconds)", "longest wait"),),
        ),
        Panel(
            title="Delete brake",
            text="1 while pruning is stopped by too many deletes: see the runbook "
            "operator-delete-brake.",
            unit=Unit.NONE,
            most=1,
            queries=(Query("max (fastapi_operator_delete_brake)", "brake"),),
        ),
    ),
)

CLUSTER = Row(
    title="What it does in the cluster",
    panels=(
        Panel(
            title="Writes by cause",
            text="A lasting rate of drift means that somebody else writes the same fields.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(rate("fastapi_operator_writes_total", "why", where=_EVERYWHERE), "{{why}}"),
            ),
        ),
        Panel(
            title="Repaired drift by kind",
            text="Which kind somebody else writes; its managedFields name them.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(
                    rate("fastapi_operator_writes_total", "kind", where='why="drift"'), "{{kind}}"
                ),
            ),
        ),
        Panel(
            title="Watch events",
            text="A flood of one kind keeps the operator busy without any write: find who touches "
            "these objects.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(
                    rate("fastapi_operator_watch_events_total", "kind", where=_EVERYWHERE),
                    "{{kind}}",
                ),
            ),
        ),
        Panel(
            title="Requests to the API server",
            text="By code; 0 is no answer, 429 a server that is overloaded, 403 a missing right.",
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
            title="Time of a request, p95",
            text="The API server's own slowness; the operator can only wait.",
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
