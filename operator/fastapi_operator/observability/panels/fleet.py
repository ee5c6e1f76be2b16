"""All services: their state, their traffic and their saturation."""

from fastapi_operator.naming import SERVICE_SERIES_LABEL
from fastapi_operator.observability import bounds
from fastapi_operator.observability.grafana import Column, Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    CLAIMS,
    COMPONENT,
    SERVICE,
    largest,
    quantile,
    rate,
    smallest,
)

_ALL = f'namespace=~"$namespace", {SERVICE_SERIES_LABEL}!=""'
_LABELS = ("namespace", SERVICE_SERIES_LABEL)
_LEGEND = f"{{{{namespace}}}}/{{{{{SERVICE_SERIES_LABEL}}}}}"
_SECONDS = "http_server_request_duration_seconds"
_TOP = 10
_REQUESTS = rate(f"{_SECONDS}_count", *_LABELS, where=_ALL)
_FAILED = rate(f"{_SECONDS}_count", *_LABELS, where=f'{_ALL}, http_response_status_code=~"5.."')


def _top(expression: str) -> tuple[Query, ...]:
    return (Query(largest(_TOP, expression, SERVICE), _LEGEND),)


STATE = Row(
    title="State",
    height=6,
    panels=(
        Panel(
            title="Services by readiness",
            text="All services of the operator. The table on the right lists those that are not "
            "Ready.",
            unit=Unit.NONE,
            queries=(Query("sum by (ready) (fastapi_operator_services)", "Ready: {{ready}}"),),
        ),
        Panel(
            title="Failing conditions",
            text="Open the service's dashboard, or run kubectl fastapi status.",
            unit=Unit.NONE,
            kind="table",
            empty="All conditions are True",
            columns=(
                Column("namespace", "Namespace", width=100),
                Column(SERVICE_SERIES_LABEL, "Service", width=90),
                Column("condition", "Condition"),
                Column("reason", "Reason"),
            ),
            queries=(
                Query(
                    f"max by ({SERVICE}, condition, reason) (fastapi_operator_condition{{{_ALL}}})",
                    _LEGEND,
                ),
            ),
        ),
        Panel(
            title="Firing alerts",
            text="Start with critical alerts. The link Runbooks above has a page for each of them.",
            unit=Unit.NONE,
            kind="table",
            empty="No alert fires",
            columns=(
                Column("alertname", "Alert"),
                Column("severity", "Severity", width=90),
                Column("namespace", "Namespace", width=100),
                Column("service", "Service", width=90),
            ),
            queries=(
                Query(
                    "sum by (alertname, severity, namespace, service) "
                    '(ALERTS{alertname=~"FastAPI.+", alertstate="firing"})',
                    "{{alertname}}",
                ),
            ),
        ),
    ),
)

TRAFFIC = Row(
    title="Traffic",
    height=7,
    panels=(
        Panel(
            title="Requests",
            text="The ten busiest services. If a line drops suddenly, traffic no longer reaches "
            "the service.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=_top(_REQUESTS),
        ),
        Panel(
            title="Share of errors",
            text="The ten services with the largest share of 5xx. If several rise at once, check "
            "the infrastructure that they share.",
            unit=Unit.RATIO,
            bounds=(bounds.SHED, bounds.SERVER_ERRORS),
            queries=_top(f"({_FAILED} or 0 * {_REQUESTS}) / {_REQUESTS}"),
        ),
        Panel(
            title="Duration, p95",
            text="The ten slowest services. Open the one that changed.",
            unit=Unit.SECONDS,
            queries=_top(quantile(0.95, _SECONDS, *_LABELS, where=_ALL)),
        ),
    ),
)

TUNING = Row(
    title="Recommendations",
    panels=(
        Panel(
            title="CPU to win",
            text="Cores that the recommendations save with the fewest pods. Open the first with "
            "kubectl fastapi recommend.",
            unit=Unit.NONE,
            empty="Nothing to win",
            width=12,
            queries=_top(
                f"-sum by ({SERVICE}) (fastapi_operator_recommended_cpu_cores{{{_ALL}}}) > 0"
            ),
        ),
        Panel(
            title="Memory to win",
            text="Memory that the recommendations save with the fewest pods. A service that needs "
            "more is not shown.",
            unit=Unit.BYTES,
            empty="Nothing to win",
            width=12,
            queries=_top(
                f"-sum by ({SERVICE}) (fastapi_operator_recommended_memory_bytes{{{_ALL}}}) > 0"
            ),
        ),
    ),
)

SATURATION = Row(
    title="Saturation",
    panels=(
        Panel(
            title="Event loop lag, p99",
            text="The ten largest. Above the red line, see the runbook event-loop-blocked.",
            unit=Unit.SECONDS,
            bounds=(bounds.LOOP_LAG_BUSY_SECONDS, bounds.LOOP_LAG_BLOCKED_SECONDS),
            queries=_top(
                quantile(0.99, "fastapi_worker_event_loop_lag_seconds", *_LABELS, where=_ALL)
            ),
        ),
        Panel(
            title="Memory against the limit",
            text="The fullest pod of each service. Near 100 %, an OOM kill is likely.",
            unit=Unit.RATIO,
            reach=1,
            bounds=(bounds.MEMORY_USED,),
            queries=_top(
                f"max by ({SERVICE}) (fastapi_worker_resident_memory_bytes{{{_ALL}}}) "
                f"/ on ({SERVICE}) {planned_series('compute.memory_limit_bytes', _ALL)}"
            ),
        ),
        Panel(
            title="Pods against the maximum",
            text="If it stays at 100 %, the autoscaler cannot add pods.",
            unit=Unit.RATIO,
            reach=1,
            queries=_top(
                f'sum by ({SERVICE}) (up{{{_ALL}, {COMPONENT}="app"}} == 1) '
                f"/ on ({SERVICE}) {planned_series('scaling.max_replicas', _ALL)}"
            ),
        ),
        Panel(
            title="Connections against max_connections",
            text="The fullest databases. Near 100 %, new connections fail: see the runbook "
            "database-near-max-connections.",
            unit=Unit.RATIO,
            reach=1,
            bounds=(bounds.DATABASE_CONNECTIONS_USED,),
            queries=_top(
                f"sum by ({SERVICE}) (pg_stat_activity_count{{{_ALL}}}) "
                f"/ on ({SERVICE}) {planned_series('database.max_connections', _ALL)}"
            ),
        ),
        Panel(
            title="Wait for a database connection, p95",
            text="The ten longest. Check pooler and database of the first.",
            unit=Unit.SECONDS,
            bounds=(bounds.POOL_WAIT_SECONDS,),
            queries=_top(
                quantile(0.95, "db_client_connection_wait_time_seconds", *_LABELS, where=_ALL)
            ),
        ),
        Panel(
            title="Volumes, free",
            text="The ten fullest. Raise their size before they are full; volumes grow in place.",
            unit=Unit.RATIO,
            bounds=(bounds.VOLUME_FREE_LAST, bounds.VOLUME_FREE),
            low=True,
            most=1,
            queries=(
                Query(
                    smallest(
                        _TOP,
                        "kubelet_volume_stats_available_bytes"
                        '{namespace=~"$namespace", '
                        f'persistentvolumeclaim=~".+-{CLAIMS}"}}'
                        " / kubelet_volume_stats_capacity_bytes",
                        "namespace, persistentvolumeclaim",
                    ),
                    "{{namespace}}/{{persistentvolumeclaim}}",
                ),
            ),
        ),
    ),
)
