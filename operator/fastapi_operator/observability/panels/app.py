"""Requests, workers and database pools, as the app itself counts them."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.grafana import Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    CHOSEN,
    COMPONENT,
    chosen,
    joined,
    quantile,
    rate,
    total,
)

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
            text="Answers per second. A status that was not there before is news: 503 is load "
            "shed, 500 the app's own error, whose traceback is in its log.",
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
            text="Answers with 5xx among all. No line means no requests. Choose a route above to "
            "find the one that fails.",
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
            text="Seen from inside the app. If the proxy sees much more, requests wait before the "
            "app takes them.",
            unit=Unit.SECONDS,
            queries=_quantiles(_SECONDS, *_SHARES, where=_ROUTED),
        ),
        Panel(
            title="Requests by route",
            text="Where the traffic goes. A route that grew with the trouble is where to look "
            "first.",
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
            text="Which routes fail. One alone points at its code or at what it alone needs.",
            unit=Unit.REQUESTS_PER_SECOND,
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
            text="Where the time goes. If all rise together, look at the workers below; if one "
            "does, profile it.",
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
            text="Above the red line something blocks the loop: with low CPU it is blocking code "
            "in an async endpoint (kubectl fastapi profile), with full CPU it needs more pods.",
            unit=Unit.SECONDS,
            bounds=(bounds.LOOP_LAG_BUSY_SECONDS, bounds.LOOP_LAG_BLOCKED_SECONDS),
            queries=(
                Query(quantile(0.99, "fastapi_worker_event_loop_lag_seconds", "pod"), "{{pod}}"),
            ),
        ),
        Panel(
            title="Event loop stalls",
            text="Each is a moment in which a worker answered nobody; the log has its stack.",
            unit=Unit.PER_SECOND,
            queries=(Query(rate("fastapi_worker_event_loop_stalls_total", "pod"), "{{pod}}"),),
        ),
        Panel(
            title="In flight",
            text="Requests in flight by pod. At the dashed line, what all its workers take at "
            "most, further ones are shed: raise maxReplicas, or mend what makes them slow.",
            unit=Unit.NONE,
            queries=(
                Query(total("http_server_active_requests", "pod"), "{{pod}}"),
                Query(
                    f"{planned_series('server.max_in_flight', CHOSEN)} * on () group_left () "
                    f"max ({total('fastapi_worker_processes', 'pod')})",
                    "planned at most",
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
            text="They got 503 at MAX_IN_FLIGHT. Once is a burst; lasting, pods are too few or too "
            "slow.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=(Query(rate("fastapi_worker_shed_requests_total", "pod"), "{{pod}}"),),
        ),
        Panel(
            title="Threads of def endpoints",
            text="Waiting calls while all threads are taken: set "
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
            text="Cores in use beside the planned request. Far above it on all pods: the "
            "autoscaler is at its ceiling. Uneven: long-lived connections pin clients to pods.",
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
            text="Share of periods in which the limit stopped the app. Above the red line raise "
            "the limit or leave it out. Empty: there is none, or nobody scrapes the kubelet.",
            unit=Unit.RATIO,
            bounds=(bounds.THROTTLED_SOME, bounds.THROTTLED),
            queries=(
                Query(
                    _of_pods(
                        "rate(container_cpu_cfs_throttled_periods_total"
                        '{namespace="$namespace", container="app"}[$__rate_interval])'
                    )
                    + " / "
                    + _of_pods(
                        "rate(container_cpu_cfs_periods_total"
                        '{namespace="$namespace", container="app"}[$__rate_interval])'
                    ),
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            title="Memory by pod",
            text="Resident memory of all workers beside the planned limit. A steady climb is a "
            "leak; near the line, raise spec.resources.limits.memory.",
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
            text="Those alive. Fewer than before, without a rollout: look for OOMKilled, crashes.",
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
            text="Used at the dashed line means that requests wait for each other.",
            unit=Unit.NONE,
            width=6,
            queries=(
                Query(
                    total("db_client_connection_count", "db_client_connection_state"),
                    "{{db_client_connection_state}}",
                ),
                Query(total("db_client_connection_max"), "allowed", line=True),
            ),
        ),
        Panel(
            title="Wait for a connection",
            text="Growth here comes before errors. If pooler and database have room, set "
            "spec.traffic.databaseMillisecondsPerRequest to the p95 of the panel on the right.",
            unit=Unit.SECONDS,
            width=6,
            bounds=(bounds.POOL_WAIT_SECONDS,),
            queries=_quantiles("db_client_connection_wait_time_seconds", *_SHARES),
        ),
        Panel(
            title="Waiting and given up",
            text="Who gave up after DATABASE_POOL_TIMEOUT_SECONDS got an error. Look at the "
            "database first, then at the pool.",
            unit=Unit.NONE,
            width=6,
            queries=(
                Query(total("db_client_connection_pending_requests"), "waiting"),
                Query(rate("db_client_connection_timeouts_total"), "given up per second"),
            ),
        ),
        Panel(
            title="Time a request holds a connection",
            text="Far above the time of its statements, a session stays open over other work: "
            "close it before.",
            unit=Unit.SECONDS,
            width=6,
            queries=_quantiles("db_client_connection_use_time_seconds", 0.5, 0.95),
        ),
    ),
)
