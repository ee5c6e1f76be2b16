"""Alerts on the app's own processes."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.alerts.alert import NUMBER, PERCENT, SECONDS, Alert
from fastapi_operator.observability.alerts.load import (
    CPU,
    CPU_PER_WORKER,
    LOOP_LAG,
    LOOP_ON_TIME,
    POOLER_WAITS,
    UNSATURATED,
)
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    COMPONENT,
    OF_SERVICES,
    SERVICE,
    by_service,
    container_of,
    joined,
    of_component,
)
from fastapi_operator.observability.units import milliseconds, percent
from fastapi_operator.parts import Part

_REQUESTS = "http_server_request_duration_seconds_count"


def _most_by_mean(counter: str) -> str:
    """The increase of a counter in the busiest pod, divided by the mean of all pods."""
    of_pods = f"sum by ({SERVICE}, pod) (rate({counter}{{{OF_SERVICES}}}[10m]))"
    return f"max by ({SERVICE}) ({of_pods}) / on ({SERVICE}) avg by ({SERVICE}) ({of_pods})"


def _throttled_periods(kind: str) -> str:
    series = f"rate(container_cpu_cfs_{kind}_total{{{container_of(Part.APP)}}}[5m])"
    return by_service(joined(series, of_component(Part.APP)))


_THROTTLED = f"{_throttled_periods('throttled_periods')} / {_throttled_periods('periods')}"
_UNTHROTTLED = f"unless on ({SERVICE}) {_THROTTLED} > {bounds.THROTTLED_SOME}"
_WITHOUT_CPU = by_service("rate(fastapi_worker_cpu_wait_seconds_total[5m])")
_STARVED = f"{_WITHOUT_CPU} > {bounds.STARVED_SHARE} * " + by_service(
    "rate(fastapi_worker_event_loop_lag_seconds_sum[5m])"
)
_POOL_WAIT = (
    "histogram_quantile(0.95, "
    + by_service("rate(db_client_connection_wait_time_seconds_bucket[5m])", "le")
    + ")"
)
_SHED = by_service("rate(fastapi_worker_shed_requests_total[5m])")
_SHED_BY_PROXY = by_service(f'rate(fastapi_proxy_shed_total{{{OF_SERVICES}, reason!="rate"}}[5m])')
_PROXIED = by_service(f"rate(fastapi_proxy_request_duration_seconds_count{{{OF_SERVICES}}}[5m])")
_ALL = by_service(f"rate({_REQUESTS}{{{OF_SERVICES}}}[5m])")
_FAILED = by_service(f'rate({_REQUESTS}{{{OF_SERVICES}, http_response_status_code=~"5.."}}[5m])')

APP = (
    Alert(
        name="FastAPIEventLoopBlocked",
        group="app",
        condition="the event loop wakes tasks more than "
        f"{milliseconds(bounds.LOOP_LAG_BLOCKED_SECONDS)} late (p99), and each worker uses less "
        f"than {bounds.WORKER_CPU_IDLE:g} cores without being throttled or waiting for a CPU",
        expression=f"{LOOP_LAG} > {bounds.LOOP_LAG_BLOCKED_SECONDS}\n"
        f"and on ({SERVICE}) ({CPU_PER_WORKER}) < {bounds.WORKER_CPU_IDLE}\n{_UNTHROTTLED}\n"
        f"unless on ({SERVICE}) {_STARVED}",
        held="10m",
        summary=f"the event loop is late by {SECONDS} (p99) although the CPU is idle: an async "
        "endpoint runs blocking code",
        page="event-loop-blocked",
    ),
    Alert(
        name="FastAPIEventLoopBusy",
        group="app",
        condition="the event loop wakes tasks more than "
        f"{milliseconds(bounds.LOOP_LAG_BUSY_SECONDS)} late (p99), and each worker uses more than "
        f"{bounds.WORKER_CPU_BUSY:g} cores",
        expression=f"{LOOP_LAG} > {bounds.LOOP_LAG_BUSY_SECONDS}\n"
        f"and on ({SERVICE}) ({CPU_PER_WORKER}) > {bounds.WORKER_CPU_BUSY}\n{_UNTHROTTLED}",
        held="10m",
        summary=f"the event loop is late by {SECONDS} (p99) because it uses all of its CPU: add "
        "pods, or reduce the work per request",
        page="event-loop-busy",
    ),
    Alert(
        name="FastAPICPUThrottled",
        group="app",
        condition=f"more than {percent(bounds.THROTTLED)} of the app's CPU periods are throttled",
        expression=f"{_THROTTLED} > {bounds.THROTTLED}",
        held="10m",
        summary=f"{PERCENT} of the app's CPU periods are throttled by its limit",
        page="cpu-throttled",
    ),
    Alert(
        name="FastAPICPUStarved",
        group="app",
        condition="the event loop wakes tasks more than "
        f"{milliseconds(bounds.LOOP_LAG_BUSY_SECONDS)} late (p99), and waiting for a CPU explains "
        f"more than {percent(bounds.STARVED_SHARE)} of that lateness, without any throttling",
        expression=f"{LOOP_LAG} > {bounds.LOOP_LAG_BUSY_SECONDS}\n"
        f"and on ({SERVICE}) {_STARVED}\n{_UNTHROTTLED}",
        held="10m",
        summary=f"the event loop is late by {SECONDS} (p99) because its workers wait for a CPU "
        "that other pods on the node use",
        page="cpu-starved",
    ),
    Alert(
        name="FastAPIPodsUneven",
        group="app",
        condition=f"the busiest pod uses more than {bounds.UNEVEN_FACTOR:g} times the mean CPU and "
        f"receives more than {bounds.UNEVEN_FACTOR:g} times the mean number of requests",
        expression=f"{_most_by_mean('fastapi_worker_cpu_seconds_total')} > {bounds.UNEVEN_FACTOR}\n"
        f"and on ({SERVICE}) {_most_by_mean(_REQUESTS)} > {bounds.UNEVEN_FACTOR}\n"
        f"and on ({SERVICE}) {CPU} > {bounds.UNEVEN_CORES}",
        held="15m",
        summary=f"the busiest pod does {NUMBER} times the mean work: long-lived connections pin "
        "clients to it",
        page="pods-uneven",
    ),
    Alert(
        name="FastAPIThreadPoolExhausted",
        group="app",
        condition="calls of def endpoints wait for a thread, all threads are busy, and neither the "
        "CPU nor the database pool is the bottleneck",
        expression=by_service("avg_over_time(fastapi_worker_threads_waiting[5m])")
        + f" >= 1\nand on ({SERVICE}) "
        + by_service("avg_over_time(fastapi_worker_threads_used[5m])")
        + f" / on ({SERVICE}) "
        + by_service("fastapi_worker_threads_max")
        + f" >= {bounds.THREADS_USED}\n"
        f"and on ({SERVICE}) ({CPU_PER_WORKER}) < {bounds.THREADS_CPU_MAX}\n"
        f"unless on ({SERVICE}) {_POOL_WAIT} > {bounds.POOL_WAIT_SECONDS}",
        held="10m",
        summary=f"{NUMBER} calls of def endpoints wait for a thread: all threads are busy",
        page="thread-pool-exhausted",
    ),
    Alert(
        name="FastAPIPoolWait",
        group="app",
        condition=f"checkouts from the app's own pool wait longer than "
        f"{milliseconds(bounds.POOL_WAIT_SECONDS)} (p95), although PgBouncer and PostgreSQL have "
        "capacity",
        expression=f"{_POOL_WAIT} > {bounds.POOL_WAIT_SECONDS}\n"
        f"unless on ({SERVICE}) {POOLER_WAITS}\n{UNSATURATED}\n{LOOP_ON_TIME}",
        held="10m",
        summary=f"requests wait {SECONDS} (p95) for a database connection, although pooler and "
        "database have capacity",
        page="pool-wait",
    ),
    Alert(
        name="FastAPIMemoryNearLimit",
        group="app",
        condition=f"a pod of the app uses more than {percent(bounds.MEMORY_USED)} of its memory "
        "limit",
        expression=f"max by ({SERVICE}) ("
        + joined(
            f"container_memory_working_set_bytes{{{container_of(Part.APP)}}}",
            of_component(Part.APP),
        )
        + f") / on ({SERVICE}) {planned_series('compute.memory_limit_bytes')}"
        f" > {bounds.MEMORY_USED}",
        held="15m",
        summary=f"a pod uses {PERCENT} of its memory limit",
        page="memory-near-limit",
    ),
    Alert(
        name="FastAPIOutOfMemory",
        group="app",
        condition="a container of the service restarted within 15 minutes after an OOM kill",
        expression=by_service(
            joined(
                "increase(kube_pod_container_status_restarts_total[15m]) "
                "* on (namespace, pod, container) group_left () "
                "(kube_pod_container_status_last_terminated_reason"
                '{reason="OOMKilled"} == 1)'
            ),
            COMPONENT,
        )
        + " >= 1",
        held="0m",
        summary=f"{NUMBER} containers of part {{{{ $labels.{COMPONENT} }}}} were OOM-killed "
        "within 15 minutes: their memory limit is too small",
        page="out-of-memory",
    ),
    Alert(
        name="FastAPIMemoryLeak",
        group="app",
        condition="the resident memory of a pod has grown by more than "
        f"{percent(bounds.LEAK_PER_HOUR)} an hour during the last day",
        expression=f"max by ({SERVICE}) (deriv(fastapi_worker_resident_memory_bytes[24h]) * 3600 "
        "/ avg_over_time(fastapi_worker_resident_memory_bytes[24h])\n"
        "and fastapi_worker_resident_memory_bytes offset 23h)"
        f" > {bounds.LEAK_PER_HOUR}",
        held="1h",
        summary=f"the memory of a pod has grown by {PERCENT} an hour during the last day",
        page="memory-leak",
    ),
    Alert(
        name="FastAPISheddingRequests",
        group="app",
        condition=f"the proxy, or the app, rejects more than {percent(bounds.SHED)} of its "
        "requests with 503 because they would wait too long",
        expression=f"{_SHED_BY_PROXY} / on ({SERVICE}) ({_PROXIED} > 0) > {bounds.SHED}\n"
        f"or on ({SERVICE}) {_SHED} / on ({SERVICE}) ({_ALL} > 0) > {bounds.SHED}",
        held="5m",
        summary=f"{PERCENT} of the requests are rejected with 503 because they would wait too long",
        page="shedding-requests",
    ),
    Alert(
        name="FastAPIServerErrors",
        group="app",
        condition=f"more than {percent(bounds.SERVER_ERRORS)} of the requests of a service without "
        "an SLO fail with 5xx",
        expression=f"{_FAILED} / on ({SERVICE}) {_ALL} > {bounds.SERVER_ERRORS}\n"
        f"and on ({SERVICE}) {_FAILED} > {bounds.SERVER_ERRORS_PER_SECOND}\n"
        # A service with an SLO has burn-rate alerts instead.
        f"unless on ({SERVICE}) {planned_series('observability.availability_percent')}",
        held="5m",
        summary=f"{PERCENT} of the requests fail with 5xx",
        page="server-errors",
        severity="critical",
    ),
)
