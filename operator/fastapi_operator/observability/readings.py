"""Computes the signals of a service from windows of samples, pod states and proxy logs."""

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi_operator.observability import bounds
from fastapi_operator.observability.metrics import metric
from fastapi_operator.observability.samples import NOTHING, Window
from fastapi_operator.observability.signals import (
    AppPod,
    Bursts,
    CacheServer,
    Calls,
    Database,
    MemoryKill,
    Planned,
    Pool,
    Pooler,
    ProxyLog,
    Route,
    Signals,
    Threads,
)
from fastapi_operator.parts import Part

REQUESTS = metric("http_server_request_duration_seconds").name
_HOLDS = metric("db_client_connection_use_time_seconds").name
_ROUTE, _METHOD, _STATUS = "http_route", "http_request_method", "http_response_status_code"
_THROTTLED = "container_cpu_cfs_throttled_periods_total"
_PERIODS = "container_cpu_cfs_periods_total"
_CONTAINER_CPU = "container_cpu_usage_seconds_total"
_SHED_BY_PROXY = "fastapi_proxy_shed_total"

# The metrics to read from a pod's page, as prefixes of their names.
NAMES = (
    "http_server_",
    "fastapi_worker_",
    "db_client_",
    "pgbouncer_pools_",
    "pgbouncer_stats_totals_",
    "pg_stat_activity_count",
    "pg_stat_database_active_time",
    "redis_",
    _SHED_BY_PROXY,
)
# Metrics of containers. Prometheus may have them; a pod's own page does not.
CONTAINER_NAMES = (_THROTTLED, _PERIODS, _CONTAINER_CPU)

# Messages of Caddy if the app closed the connection before it responded.
_CLOSED = re.compile(r'connection reset by peer|broken pipe|"EOF"|: EOF', re.IGNORECASE)


@dataclass(frozen=True)
class Pod:
    """A pod of the service, as in the API server.

    Attributes:
        name: Its name.
        part: The part of the service that it belongs to.
        restarts: Restarts of its containers.
        memory_killed: Whether the last restart followed an OOM kill.
    """

    name: str
    part: Part
    restarts: int = 0
    memory_killed: bool = False


def read(
    windows: Mapping[str, Window],
    pods: Iterable[Pod],
    *,
    planned: Planned,
    proxy: ProxyLog | None = None,
) -> Signals:
    """Returns the signals of a service.

    Args:
        windows: The window of each pod, by its name; pods that could not be read are absent.
        pods: The pods of all parts.
        planned: The planned values.
        proxy: The counts of the proxy's log; None if it could not be read.
    """
    known = tuple(pods)
    of = {
        part: {pod.name: windows[pod.name] for pod in known if _has_window(windows, pod, part)}
        for part in Part
    }
    app = of[Part.APP]
    return Signals(
        seconds=max((window.seconds for window in windows.values()), default=0.0),
        planned=planned,
        app=tuple(_app(name, window) for name, window in sorted(app.items()) if _serves(window)),
        routes=tuple(_routes(app.values())),
        pooler=_pooler([w for w in of[Part.POOLER].values() if w.has(_WAITING)]),
        database=_database([w for w in of[Part.DATABASE].values() if w.has(_ACTIVITY)]),
        cache=_cache([w for w in of[Part.CACHE].values() if w.has("redis_up")]),
        proxy=proxy,
        bursts=_bursts(list(app.values()), list(of[Part.CACHE].values())),
        memory_kills=tuple(
            MemoryKill(pod.name, pod.restarts)
            for pod in known
            if pod.part is Part.APP and pod.memory_killed
        ),
        shed_by_proxy=sum(
            window.increase(_SHED_BY_PROXY, reason="pods") for window in of[Part.PROXY].values()
        ),
    )


def _has_window(windows: Mapping[str, Window], pod: Pod, part: Part) -> bool:
    return pod.part is part and pod.name in windows


def _serves(window: Window) -> bool:
    return window.has("fastapi_worker_event_loop_lag_seconds_count")


def _app(name: str, window: Window) -> AppPod:
    lag = window.histogram("fastapi_worker_event_loop_lag_seconds")
    workers = max(1.0, window.mean("fastapi_worker_processes"))
    waits = "fastapi_worker_cpu_wait_seconds_total"
    return AppPod(
        pod=name,
        workers=workers,
        requests=window.histogram(REQUESTS),
        in_flight=window.mean("http_server_active_requests"),
        shed=window.increase("fastapi_worker_shed_requests_total"),
        cpu=window.rate("fastapi_worker_cpu_seconds_total") / workers,
        cpu_wait=window.rate(waits) / workers if window.has(waits) else None,
        throttled=_share(window, _THROTTLED, _PERIODS),
        lag_p99=lag.quantile(0.99),
        late=lag.total / window.seconds / workers,
        threads=_threads(window),
        pool=_pool(window),
        cache=_calls(window),
    )


def _threads(window: Window) -> Threads:
    return Threads(
        used=window.mean("fastapi_worker_threads_used"),
        allowed=window.mean("fastapi_worker_threads_max"),
        waiting=window.mean("fastapi_worker_threads_waiting"),
    )


def _pool(window: Window) -> Pool | None:
    if not window.has("db_client_connection_max"):
        return None
    waits = window.histogram("db_client_connection_wait_time_seconds")
    return Pool(
        size=window.peak("db_client_connection_max"),
        peak=window.peak("db_client_connection_count", db_client_connection_state="used"),
        waits=waits,
        holds=window.histogram(_HOLDS),
        waiting=waits.total / window.seconds,
        timeouts=window.increase("db_client_connection_timeouts_total"),
    )


def _calls(window: Window) -> Calls | None:
    name = "db_client_operation_duration_seconds"
    if not window.has(f"{name}_count"):
        return None
    failed = sum(
        window.increase(f"{name}_count", db_system_name="redis", error_type=error)
        for error in window.values_of(f"{name}_count", "error_type")
        if error
    )
    return Calls(window.histogram(name, db_system_name="redis"), failed)


def _routes(windows: Iterable[Window]) -> Iterable[Route]:
    found: dict[str, Route] = {}
    for window in windows:
        for method in window.values_of(f"{REQUESTS}_count", _METHOD):
            for path in window.values_of(f"{REQUESTS}_count", _ROUTE):
                chosen = {_METHOD: method, _ROUTE: path}
                requests = window.histogram(REQUESTS, **chosen)
                if not requests.count:
                    continue
                name = f"{method} {path or '(no route)'}"
                failed = sum(
                    window.increase(f"{REQUESTS}_count", **chosen, **{_STATUS: status})
                    for status in window.values_of(f"{REQUESTS}_count", _STATUS)
                    if status.startswith("5")
                )
                before = found.get(name, Route(name, NOTHING, 0))
                found[name] = Route(name, before.requests + requests, before.failed + failed)
    return sorted(found.values(), key=lambda route: -route.requests.count)


_WAITING = "pgbouncer_pools_client_waiting_connections"


def _pooler(windows: Sequence[Window]) -> Pooler | None:
    if not windows:
        return None
    return Pooler(
        # Waits are counted exactly where the exporter has them; else seen now and then.
        waiting=sum(
            max(
                window.rate("pgbouncer_stats_totals_client_wait_seconds_total"),
                window.mean(_WAITING),
            )
            for window in windows
        ),
        max_wait_seconds=max(
            window.peak("pgbouncer_pools_client_maxwait_seconds") for window in windows
        ),
        servers=sum(window.mean("pgbouncer_pools_server_active_connections") for window in windows),
        query_seconds=sum(
            window.increase("pgbouncer_stats_totals_queries_duration_seconds_total")
            for window in windows
        ),
    )


_ACTIVITY = "pg_stat_activity_count"


def _database(windows: Sequence[Window]) -> Database | None:
    if not windows:
        return None
    spent = "pg_stat_database_active_time_seconds_total"
    measured = [window.rate(_CONTAINER_CPU) for window in windows if window.has(_CONTAINER_CPU)]
    return Database(
        active=sum(window.mean(_ACTIVITY, state="active") for window in windows),
        busy=sum(_busy(window) for window in windows),
        cpu=sum(measured) if measured else None,
        query_seconds=sum(window.increase(spent) for window in windows)
        if any(window.has(spent) for window in windows)
        else None,
    )


def _busy(window: Window) -> float:
    waits = window.values_of(_ACTIVITY, "wait_event_type")
    idle = sum(
        window.mean(_ACTIVITY, state="active", wait_event_type=kind)
        for kind in waits & bounds.DATABASE_IDLE_WAITS
    )
    return window.mean(_ACTIVITY, state="active") - idle


def _cache(windows: Sequence[Window]) -> CacheServer | None:
    if not windows:
        return None
    (window, *_) = windows
    commands = window.increase("redis_commands_total")
    return CacheServer(
        up=window.mean("redis_up"),
        hits=window.increase("redis_keyspace_hits_total"),
        misses=window.increase("redis_keyspace_misses_total"),
        evicted=window.increase("redis_evicted_keys_total"),
        expired=window.increase("redis_expired_keys_total"),
        refused=window.increase("redis_errors_total", err="OOM"),
        used_bytes=window.mean("redis_memory_used_bytes"),
        max_bytes=window.peak("redis_memory_max_bytes"),
        command_seconds=window.increase("redis_commands_duration_seconds_total") / commands
        if commands
        else 0.0,
    )


def _bursts(app: Sequence[Window], cache: Sequence[Window]) -> Bursts | None:
    checkouts = _together(app, f"{_HOLDS}_count")
    if sum(checkouts) == 0:
        return None
    misses = _together(cache, "redis_keyspace_misses_total")
    step = statistics.fmean(window.seconds for window in app) / len(checkouts)
    return Bursts(
        database=_concentration(checkouts),
        requests=_concentration(_together(app, f"{REQUESTS}_count")),
        misses=_concentration(misses) if sum(misses) else None,
        peak_per_second=max(checkouts) / step,
    )


def _together(windows: Sequence[Window], name: str) -> list[float]:
    """The increase of a counter in each step, over pods that were read at the same times."""
    steps = [window.steps(name) for window in windows]
    return [sum(step) for step in zip(*steps, strict=False)]


def _concentration(steps: Sequence[float]) -> float:
    busiest = sorted(steps, reverse=True)[: max(1, len(steps) // 4)]
    return sum(busiest) / sum(steps) if sum(steps) else 0.0


def _share(window: Window, part: str, whole: str) -> float | None:
    total = window.increase(whole)
    return window.increase(part) / total if total else None


def read_proxy_log(lines: Iterable[str]) -> ProxyLog:
    """Counts requests and errors in a log of nginx or Caddy with access and error lines."""
    requests = bad = closed = 0
    for line in lines:
        record = _record(line)
        # Caddy also writes the status in its line about the error.
        if "status" in record and record.get("logger") != "http.log.error":
            requests += 1
            bad += str(record["status"]) == "502"
            closed += _closed_early(record)
        elif _CLOSED.search(line):
            closed += 1
    return ProxyLog(requests, bad, closed)


def _closed_early(record: Mapping[str, Any]) -> bool:
    """Whether the last pod accepted a request of nginx and closed the connection."""
    connected, received = (
        str(record.get(name, "-")).rpartition(" ")[2]
        for name in ("upstream_connect_seconds", "upstream_bytes")
    )
    return str(record["status"]) == "502" and connected != "-" and received == "0"


def _record(line: str) -> Mapping[str, Any]:
    if not line.startswith("{"):
        return {}
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
