"""The metrics pages of a service under growing load, as its pods would serve them."""

import math

from fastapi_operator.observability import readings
from fastapi_operator.observability.samples import Window, read_page
from fastapi_operator.observability.signals import Planned, Signals
from fastapi_operator.parts import Part
from fastapi_operator.tuning.plan import Plan

SECONDS = 30
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, math.inf)


class _Page:
    """A metrics page that counts on."""

    def __init__(self) -> None:
        self.counters: dict[str, float] = {}
        self.gauges: dict[str, float] = {}

    def add(self, series: str, value: float) -> None:
        self.counters[series] = self.counters.get(series, 0.0) + value

    def observe(self, name: str, labels: str, seconds: float, count: float) -> None:
        separator = "," if labels else ""
        for bound in BOUNDS:
            le = "+Inf" if math.isinf(bound) else str(bound)
            held = count if seconds <= bound else 0
            self.add(f'{name}_bucket{{{labels}{separator}le="{le}"}}', held)
        self.add(f"{name}_sum{{{labels}}}", seconds * count)
        self.add(f"{name}_count{{{labels}}}", count)

    def text(self) -> str:
        return "".join(f"{name} {value}\n" for name, value in (self.counters | self.gauges).items())


def _app(page: _Page, second: int) -> None:
    load = 40 + 4 * second
    slow = 0.03 + 0.004 * max(0, second - 10)
    route = 'http_request_method="GET",http_route="/items"'
    name, status = readings.REQUESTS, "http_response_status_code"
    page.observe(name, f'{route},{status}="200"', slow, load)
    page.observe(name, f'{route},{status}="503"', 0.005, max(0, second - 15))
    page.observe("fastapi_worker_event_loop_lag_seconds", "", 0.004, 20)
    page.add('fastapi_worker_shed_requests_total{reason="limit"}', max(0, second - 15))
    page.add("fastapi_worker_cpu_seconds_total", 0.01 * load / 2)
    pool = 'db_client_connection_pool_name="database"'
    page.observe("db_client_connection_wait_time_seconds", pool, 0.004 * max(0, second - 5), load)
    page.observe("db_client_connection_use_time_seconds", pool, slow / 3, load)
    page.gauges |= {
        "http_server_active_requests": min(64.0, load * slow * 4),
        "fastapi_worker_in_flight_limit": 64 - max(0, second - 12),
        "fastapi_worker_processes": 1,
        "fastapi_worker_threads_used": 6,
        "fastapi_worker_threads_max": 40,
        "fastapi_worker_threads_waiting": 0,
        f"db_client_connection_max{{{pool}}}": 10,
        f'db_client_connection_count{{{pool},db_client_connection_state="used"}}': min(
            10, second / 2
        ),
    }


def _pooler(page: _Page, second: int) -> None:
    page.gauges["pgbouncer_pools_server_active_connections"] = min(5, second / 4)
    page.gauges["pgbouncer_pools_client_waiting_connections"] = max(0, second - 20)
    page.gauges["pgbouncer_pools_client_maxwait_seconds"] = 0.01 * max(0, second - 20)


def _database(page: _Page, second: int) -> None:
    page.gauges['pg_stat_activity_count{state="active",wait_event_type=""}'] = min(10, second / 3)
    page.gauges['pg_stat_activity_count{state="idle",wait_event_type="Client"}'] = 8


def _cache(page: _Page, second: int) -> None:
    page.gauges["redis_up"] = 1
    page.add("redis_keyspace_hits_total", 60 + second)
    page.add("redis_keyspace_misses_total", 10)


PODS = {
    "shop-6d5f-a": (Part.APP, _app),
    "shop-6d5f-b": (Part.APP, _app),
    "shop-pooler-a": (Part.POOLER, _pooler),
    "shop-postgres-0": (Part.DATABASE, _database),
    "shop-redis-0": (Part.CACHE, _cache),
}


def windows() -> dict[str, Window]:
    """Returns the window of each pod; each is read at times of its own."""
    found = {}
    for index, (name, (_, write)) in enumerate(PODS.items()):
        page, scrapes = _Page(), []
        for second in range(SECONDS + 1):
            write(page, second)
            scrapes.append(read_page(page.text(), second + 0.1 * index, readings.NAMES))
        found[name] = Window(scrapes)
    return found


def windows_of_parts() -> dict[Part, list[Window]]:
    """Returns the same windows by part."""
    parts: dict[Part, list[Window]] = {}
    for name, window in windows().items():
        parts.setdefault(PODS[name][0], []).append(window)
    return parts


def signals(plan: Plan) -> Signals:
    """Returns the signals of the windows."""
    pods = [readings.Pod(name, part) for name, (part, _) in PODS.items()]
    return readings.read(windows(), pods, planned=Planned.of(plan))
