"""Requests, workers and database pools, as the app measures them."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.grafana import Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    CHOSEN,
    COMPONENT,
    chosen,
    container_of,
    joined,
    quantile,
    rate,
    total,
)
from fastapi_operator.parts import Part

_SECONDS = "http_server_request_duration_seconds"
_REQUESTS = f"{_SECONDS}_count"
_ROUTED = chosen('http_route=~"$route"')
_FAILED = f'{_ROUTED}, http_response_status_code=~"5.."'
_APP = chosen(f'{COMPONENT}="app"')
_SHARES = (0.5, 0.95, 0.99)


def _quantiles(histogram: str, *shares: float, where: str = CHOSEN) -> tuple[Query, ...]:
    return tuple(
        Query(quantile(share, histogram, where=where), f"p{share * 100:g}") for share in shares
    )


def _of_pods(expression: str) -> str:
    return f"sum by (pod) ({joined(expression, _APP)})"


REQUESTS = Row(
    title="Requests",
    panels=(
        Panel(
            title="Requests by status",
            text="Responses per second. Look for a status that is new: 503 means that the app "
            "sheds load, 500 that the app failed; its log has the traceback.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=(
                Query(
                    rate(_REQUESTS, "http_response_status_code", where=_ROUTED),
                    "{{http_response_status_code}}",
                ),
            ),
        ),
        Panel(
            title="Share of errors",
            text="Share of responses with 5xx. If there is no line, there are no requests. Choose "
            "a route above to find the one that fails.",
            unit=Unit.RATIO,
            bounds=(bounds.SHED, bounds.SERVER_ERRORS),
            queries=(
                Query(
                    f"({rate(_REQUESTS, where=_FAILED)} or vector(0)) "
                    f"/ {rate(_REQUESTS, where=_ROUTED)}",
                    "5xx",
                ),
            ),
        ),
        Panel(
            title="Duration",
            text="Measured inside the app. If the proxy measures much more, requests wait before "
            "the app accepts them.",
            unit=Unit.SECONDS,
            queries=_quantiles(_SECONDS, *_SHARES, where=_ROUTED),
        ),
        Panel(
            title="Requests by route",
            text="Traffic of each route. If the traffic of one route grew when the problem began, "
            "start there.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=(
                Query(
                    rate(_REQUESTS, "http_request_method", "http_route", where=_ROUTED),
                    "{{http_request_method}} {{http_route}}",
                ),
            ),
        ),
        Panel(
            title="Errors by route",
            text="The routes that fail. If only one fails, check its code and the services that it "
            "calls.",
            unit=Unit.REQUESTS_PER_SECOND,
            empty="No errors",
            queries=(
                Query(
                    rate(
                        _REQUESTS,
                        "http_request_method",
                        "http_route",
                        where=_FAILED,
                    ),
                    "{{http_request_method}} {{http_route}}",
                ),
            ),
        ),
        Panel(
            title="Duration by route, p95",
            text="Time of each route. If all rise together, look at the workers below; if one "
            "rises, profile it.",
            unit=Unit.SECONDS,
            queries=(
                Query(
                    quantile(0.95, _SECONDS, "http_request_method", "http_route", where=_ROUTED),
                    "{{http_request_method}} {{http_route}}",
                ),
            ),
        ),
    ),
)

WORKERS = Row(
    title="Saturation of the workers",
    panels=(
        Panel(
            title="Event loop lag, p99",
            text="Above the red line the event loop is blocked. If CPU is low, an async endpoint "
            "runs blocking code (kubectl fastapi profile). If CPU is full, add pods.",
            unit=Unit.SECONDS,
            bounds=(bounds.LOOP_LAG_BUSY_SECONDS, bounds.LOOP_LAG_BLOCKED_SECONDS),
            queries=(
                Query(quantile(0.99, "fastapi_worker_event_loop_lag_seconds", "pod"), "{{pod}}"),
            ),
        ),
        Panel(
            title="Event loop stalls",
            text="In a stall a worker serves no request. The log has the stack of each.",
            unit=Unit.PER_SECOND,
            queries=(Query(rate("fastapi_worker_event_loop_stalls_total", "pod"), "{{pod}}"),),
        ),
        Panel(
            title="In flight",
            text="Requests in flight per pod. Above the dashed line, which is the limit of its "
            "workers, requests are shed: raise maxReplicas, or fix the cause of slow requests.",
            unit=Unit.NONE,
            queries=(
                Query(total("http_server_active_requests", "pod"), "{{pod}}"),
                Query(
                    f"{planned_series('server.max_in_flight', CHOSEN)} * on () group_left () "
                    f"max ({total('fastapi_worker_processes', 'pod')})",
                    "planned limit",
                    line=True,
                ),
                Query(
                    f"min ({total('fastapi_worker_in_flight_limit', 'pod')})",
                    "lowest limit of a pod",
                    line=True,
                ),
                Query(
                    f"{planned_series('scaling.target_in_flight', CHOSEN)} > 0",
                    "target of the autoscaler",
                    line=True,
                ),
            ),
        ),
        Panel(
            title="Shed requests",
            text="Requests rejected with 503 because they would wait too long: limit and queue for "
            "the process, database for its pool. A single peak is a burst. If it lasts, there are "
            "too few pods, or requests are too slow.",
            unit=Unit.REQUESTS_PER_SECOND,
            empty="No request was shed",
            queries=(Query(rate("fastapi_worker_shed_requests_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            title="Threads of def endpoints",
            text="If calls wait while all threads are busy, set "
            "spec.traffic.blockingMillisecondsPerRequest, or make the calls shorter.",
            unit=Unit.NONE,
            queries=(
                Query(total("fastapi_worker_threads_used"), "used"),
                Query(total("fastapi_worker_threads_waiting"), "waiting"),
                Query(
                    f"{planned_series('server.threads', CHOSEN)} * on () group_left () "
                    f"{total('fastapi_worker_processes')}",
                    "planned",
                    line=True,
                ),
            ),
        ),
        Panel(
            title="CPU by pod",
            text="Cores in use and the planned request. If all pods are far above it, the "
            "autoscaler is at its maximum. If pods differ, long-lived connections pin clients to "
            "them.",
            unit=Unit.NONE,
            queries=(
                Query(rate("fastapi_worker_cpu_seconds_total", "pod"), "{{pod}}"),
                Query(
                    f"{planned_series('compute.cpu_request_millicores', CHOSEN)} / 1000",
                    "planned request",
                    line=True,
                ),
            ),
        ),
        Panel(
            title="CPU throttling",
            text="Share of the periods in which the CPU limit throttled the app. Above the red "
            "line, raise or remove the limit. If the panel is empty, there is no limit, or "
            "Prometheus does not scrape the kubelet.",
            unit=Unit.RATIO,
            empty="No CPU limit, or no metrics of the kubelet",
            bounds=(bounds.THROTTLED_SOME, bounds.THROTTLED),
            queries=(
                Query(
                    _of_pods(
                        "rate(container_cpu_cfs_throttled_periods_total"
                        f'{{namespace="$namespace", {container_of(Part.APP)}}}[$__rate_interval])'
                    )
                    + " / "
                    + _of_pods(
                        "rate(container_cpu_cfs_periods_total"
                        f'{{namespace="$namespace", {container_of(Part.APP)}}}[$__rate_interval])'
                    ),
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            title="Memory by pod",
            text="Resident memory of all workers and the planned limit. A steady climb is a leak. "
            "Near the line, raise spec.resources.limits.memory.",
            unit=Unit.BYTES,
            queries=(
                Query(total("fastapi_worker_resident_memory_bytes", "pod"), "{{pod}}"),
                Query(
                    planned_series("compute.memory_limit_bytes", CHOSEN),
                    "planned limit",
                    line=True,
                ),
            ),
        ),
        Panel(
            title="Worker processes",
            text="Running workers. If the number drops without a rollout, look for OOM kills and "
            "crashes.",
            unit=Unit.NONE,
            queries=(Query(total("fastapi_worker_processes", "pod"), "{{pod}}"),),
        ),
    ),
)

POOLS = Row(
    title="Database pools of the app",
    panels=(
        Panel(
            title="Connections of the pools",
            text="If the used connections reach the dashed line, requests wait for a connection.",
            unit=Unit.NONE,
            width=6,
            queries=(
                Query(
                    total("db_client_connection_count", "db_client_connection_state"),
                    "{{db_client_connection_state}}",
                ),
                Query(total("db_client_connection_max"), "limit", line=True),
            ),
        ),
        Panel(
            title="Wait for a connection",
            text="This time grows before errors occur. If pooler and database have capacity, set "
            "spec.traffic.databaseMillisecondsPerRequest to the p95 of the panel on the right.",
            unit=Unit.SECONDS,
            width=6,
            bounds=(bounds.POOL_WAIT_SECONDS,),
            queries=_quantiles("db_client_connection_wait_time_seconds", *_SHARES),
        ),
        Panel(
            title="Waiting and timed out",
            text="A checkout that times out after DATABASE_POOL_TIMEOUT_SECONDS fails. Check the "
            "database first, then the pool.",
            unit=Unit.NONE,
            width=6,
            queries=(
                Query(total("db_client_connection_pending_requests"), "waiting"),
                Query(rate("db_client_connection_timeouts_total"), "timed out per second"),
            ),
        ),
        Panel(
            title="Time a request holds a connection",
            text="If it is far above the time of the statements, a session stays open during other "
            "work: close it earlier.",
            unit=Unit.SECONDS,
            width=6,
            queries=_quantiles("db_client_connection_use_time_seconds", 0.5, 0.95),
        ),
    ),
)
