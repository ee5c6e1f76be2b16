"""The dashboards that come with the operator, one for all services.

Series belong to a service by the label that monitoring objects copy from its pods.
"""

from fastapi_operator.observability.grafana import Dashboard, Panel, Query, Row, Variable
from fastapi_operator.observability.metrics import Kind, Unit, metric

# The pod label fastapi-operator.io/service, as Prometheus spells it.
SERVICE_LABEL = "fastapi_operator_io_service"

_SELECTED = f'namespace="$namespace", {SERVICE_LABEL}="$service"'
_ROUTED = f'{_SELECTED}, http_route=~"$route"'
_REQUESTS = "http_server_request_duration_seconds"


def _gauge(name: str, by: str = "", where: str = _SELECTED) -> str:
    return f"sum{_by(by)} ({metric(name).series}{{{where}}})"


def _rate(name: str, by: str = "", where: str = _SELECTED) -> str:
    found = metric(name)
    # The rate of a histogram is the rate of its observations.
    series = f"{found.name}_count" if found.kind is Kind.HISTOGRAM else found.series
    return f"sum{_by(by)} (rate({series}{{{where}}}[$__rate_interval]))"


def _quantile(share: float, name: str, by: str = "", where: str = _SELECTED) -> str:
    grouped = f"le, {by}" if by else "le"
    series = f"{metric(name).series}{{{where}}}"
    return f"histogram_quantile({share}, sum by ({grouped}) (rate({series}[$__rate_interval])))"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


_TRAFFIC = Row(
    title="Requests",
    panels=(
        Panel(
            title="Requests by status",
            text="Answers per second. A status that was not there before is news.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=(
                Query(
                    _rate(_REQUESTS, by="http_response_status_code", where=_ROUTED),
                    "{{http_response_status_code}}",
                ),
            ),
        ),
        Panel(
            title="Share of errors",
            text="Answers with status 5xx among all. No line means no requests.",
            unit=Unit.RATIO,
            queries=(
                Query(
                    "("
                    + _rate(_REQUESTS, where=f'{_ROUTED}, http_response_status_code=~"5.."')
                    + " or vector(0)) / "
                    + _rate(_REQUESTS, where=_ROUTED),
                    "5xx",
                ),
            ),
        ),
        Panel(
            title="Duration",
            text="Quantiles over all chosen routes, seen from inside the app.",
            unit=Unit.SECONDS,
            queries=tuple(
                Query(_quantile(share, _REQUESTS, where=_ROUTED), f"p{share * 100:g}")
                for share in (0.5, 0.95, 0.99)
            ),
        ),
        Panel(
            title="Requests by route",
            text="Where the traffic goes.",
            unit=Unit.REQUESTS_PER_SECOND,
            width=12,
            queries=(
                Query(
                    _rate(_REQUESTS, by="http_request_method, http_route", where=_ROUTED),
                    "{{http_request_method}} {{http_route}}",
                ),
            ),
        ),
        Panel(
            title="Duration by route, p95",
            text="Where the time goes.",
            unit=Unit.SECONDS,
            width=12,
            queries=(
                Query(
                    _quantile(0.95, _REQUESTS, by="http_request_method, http_route", where=_ROUTED),
                    "{{http_request_method}} {{http_route}}",
                ),
            ),
        ),
    ),
)

_SATURATION = Row(
    title="Saturation of the workers",
    panels=(
        Panel(
            title="In flight and shed",
            text="Requests in flight by pod. Shed requests got 503 at MAX_IN_FLIGHT: the pods are "
            "full, and the autoscaler is late or at its ceiling.",
            unit=Unit.NONE,
            queries=(
                Query(_gauge("http_server_active_requests", by="pod"), "{{pod}}"),
                Query(_rate("fastapi_worker_shed_requests"), "shed per second"),
            ),
        ),
        Panel(
            title="Event loop lag, p99",
            text="Above some milliseconds, blocking code runs on the event loop: make it a def "
            "endpoint, or await it.",
            unit=Unit.SECONDS,
            queries=(
                Query(
                    _quantile(0.99, "fastapi_worker_event_loop_lag_seconds", by="pod"), "{{pod}}"
                ),
            ),
        ),
        Panel(
            title="Event loop stalls",
            text="Each is a moment in which a worker answered nobody.",
            unit=Unit.PER_SECOND,
            queries=(Query(_rate("fastapi_worker_event_loop_stalls", by="pod"), "{{pod}}"),),
        ),
        Panel(
            title="Threads",
            text="Threads for def endpoints, of all workers. Waiting calls mean too few of them.",
            unit=Unit.NONE,
            queries=(
                Query(_gauge("fastapi_worker_threads_used"), "used"),
                Query(_gauge("fastapi_worker_threads_waiting"), "waiting"),
                Query(_gauge("fastapi_worker_threads_max"), "allowed"),
            ),
        ),
        Panel(
            title="CPU by pod",
            text="Cores in use.",
            unit=Unit.NONE,
            queries=(Query(_rate("fastapi_worker_cpu_seconds", by="pod"), "{{pod}}"),),
        ),
        Panel(
            title="Memory by pod",
            text="Resident memory of all workers of a pod.",
            unit=Unit.BYTES,
            queries=(Query(_gauge("fastapi_worker_resident_memory_bytes", by="pod"), "{{pod}}"),),
        ),
    ),
)

_DATABASE = Row(
    title="Database pools of the app",
    panels=(
        Panel(
            title="Connections",
            text="Used at the line of allowed ones means that requests wait for each other.",
            unit=Unit.NONE,
            queries=(
                Query(
                    _gauge("db_client_connection_count", by="db_client_connection_state"),
                    "{{db_client_connection_state}}",
                ),
                Query(_gauge("db_client_connection_max"), "allowed"),
            ),
        ),
        Panel(
            title="Wait for a connection",
            text="Time until a checkout had a connection. Growth here comes before errors.",
            unit=Unit.SECONDS,
            queries=tuple(
                Query(
                    _quantile(share, "db_client_connection_wait_time_seconds"), f"p{share * 100:g}"
                )
                for share in (0.5, 0.95, 0.99)
            ),
        ),
        Panel(
            title="Waiting and given up",
            text="Checkouts that wait now, and those that gave up after "
            "DATABASE_POOL_TIMEOUT_SECONDS.",
            unit=Unit.NONE,
            queries=(
                Query(_gauge("db_client_connection_pending_requests"), "waiting"),
                Query(_rate("db_client_connection_timeouts"), "given up per second"),
            ),
        ),
        Panel(
            title="Time a request holds a connection",
            text="The p95 belongs into spec.traffic.databaseMillisecondsPerRequest: pool sizes "
            "follow from it.",
            unit=Unit.SECONDS,
            queries=tuple(
                Query(
                    _quantile(share, "db_client_connection_use_time_seconds"), f"p{share * 100:g}"
                )
                for share in (0.5, 0.95)
            ),
        ),
    ),
)

_EVERYWHERE = ""
_OPERATOR = Row(
    title="Operator (all services)",
    panels=(
        Panel(
            title="Services by readiness",
            text="All services of the operator, by their Ready condition and its reason.",
            unit=Unit.NONE,
            queries=(
                Query(
                    _gauge("fastapi_operator_services", by="ready, reason", where=_EVERYWHERE),
                    "{{ready}} {{reason}}",
                ),
            ),
        ),
        Panel(
            title="Passes, p95",
            text="Duration of a pass over one service.",
            unit=Unit.SECONDS,
            queries=(
                Query(
                    _quantile(
                        0.95,
                        "fastapi_operator_pass_duration_seconds",
                        by="outcome",
                        where=_EVERYWHERE,
                    ),
                    "{{outcome}}",
                ),
            ),
        ),
        Panel(
            title="Writes by cause",
            text="A lasting rate of drift means that somebody else writes the same fields.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(_rate("fastapi_operator_writes", by="why", where=_EVERYWHERE), "{{why}}"),
            ),
        ),
        Panel(
            title="Queue",
            text="Services that are due, and how long the first of them has waited.",
            unit=Unit.NONE,
            queries=(
                Query(_gauge("fastapi_operator_queue_depth", where=_EVERYWHERE), "due"),
                Query(
                    f"max ({metric('fastapi_operator_queue_oldest_wait_seconds').series})",
                    "longest wait, seconds",
                ),
            ),
        ),
    ),
)

SERVICES = Dashboard(
    name="services",
    title="FastAPI services",
    text="What a FastAPIService does and where it is short: requests, workers, database pools.",
    variables=(
        Variable(
            name="namespace",
            title="Namespace",
            query=f"label_values({_REQUESTS}_count, namespace)",
        ),
        Variable(
            name="service",
            title="Service",
            query=f'label_values({_REQUESTS}_count{{namespace="$namespace"}}, {SERVICE_LABEL})',
        ),
        Variable(
            name="route",
            title="Route",
            query=f"label_values({_REQUESTS}_count{{{_SELECTED}}}, http_route)",
            several=True,
        ),
    ),
    rows=(_TRAFFIC, _SATURATION, _DATABASE, _OPERATOR),
)

DASHBOARDS: tuple[Dashboard, ...] = (SERVICES,)
