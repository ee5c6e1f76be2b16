"""Signals from metrics pages, pod states and logs."""

from fastapi_operator.observability import readings
from fastapi_operator.observability.readings import NAMES, Pod
from fastapi_operator.observability.samples import Scrape, Window, read_page
from fastapi_operator.observability.signals import MemoryKill, Planned, ProxyLog, Signals
from fastapi_operator.parts import Part

APP = """\
http_server_request_duration_seconds_bucket{{http_request_method="GET",http_route="/items",\
http_response_status_code="200",le="0.1"}} {count}
http_server_request_duration_seconds_bucket{{http_request_method="GET",http_route="/items",\
http_response_status_code="200",le="+Inf"}} {count}
http_server_request_duration_seconds_count{{http_request_method="GET",http_route="/items",\
http_response_status_code="200"}} {count}
http_server_request_duration_seconds_sum{{http_request_method="GET",http_route="/items",\
http_response_status_code="200"}} {count}
http_server_request_duration_seconds_count{{http_request_method="GET",http_route="/items",\
http_response_status_code="503"}} {failed}
http_server_active_requests 3
fastapi_worker_processes 2
fastapi_worker_cpu_seconds_total {cpu}
fastapi_worker_cpu_wait_seconds_total {cpu}
fastapi_worker_event_loop_lag_seconds_bucket{{le="0.25"}} {count}
fastapi_worker_event_loop_lag_seconds_bucket{{le="+Inf"}} {count}
fastapi_worker_event_loop_lag_seconds_sum {cpu}
fastapi_worker_event_loop_lag_seconds_count {count}
fastapi_worker_threads_used 7
fastapi_worker_threads_max 80
fastapi_worker_threads_waiting 1
db_client_connection_max{{db_client_connection_pool_name="database"}} 20
db_client_connection_count{{db_client_connection_pool_name="database",\
db_client_connection_state="used"}} {used}
db_client_connection_wait_time_seconds_sum{{db_client_connection_pool_name="database"}} {cpu}
db_client_connection_use_time_seconds_count{{db_client_connection_pool_name="database"}} {count}
db_client_operation_duration_seconds_count{{db_system_name="redis",error_type=""}} {count}
db_client_operation_duration_seconds_count{{db_system_name="redis",error_type="Lost"}} {failed}
"""
DATABASE = """\
pg_stat_activity_count{datname="app",state="active",wait_event_type=""} 3
pg_stat_activity_count{datname="app",state="active",wait_event_type="Lock"} 2
pg_stat_activity_count{datname="app",state="idle",wait_event_type="Client"} 9
"""


def page(at: float, text: str) -> Scrape:
    return read_page(text, at, NAMES)


def app() -> Window:
    before = page(0, APP.format(count=0, failed=0, cpu=0, used=4))
    return Window([before, page(10, APP.format(count=100, failed=5, cpu=8, used=18))])


def seen(part: Part, window: Window) -> Signals:
    return readings.read({"one": window}, [Pod("one", part)], planned=Planned())


def test_cpu_and_lateness_of_the_app_are_per_worker() -> None:
    (pod,) = seen(Part.APP, app()).app
    assert pod.workers == 2
    assert (pod.cpu, pod.cpu_wait, pod.late) == (0.4, 0.4, 0.4)
    assert pod.in_flight == 3
    assert pod.lag_p99 > 0.2
    assert pod.threads is not None
    assert (pod.threads.used, pod.threads.allowed, pod.threads.waiting) == (7, 80, 1)
    assert pod.pool is not None
    assert (pod.pool.size, pod.pool.peak, pod.pool.waiting) == (20, 18, 0.8)
    assert pod.cache is not None
    assert (pod.cache.durations.count, pod.cache.failed) == (105, 5)
    assert pod.throttled is None


def test_a_route_counts_its_failures() -> None:
    (route,) = seen(Part.APP, app()).routes
    assert (route.name, route.requests.count, route.failed) == ("GET /items", 105, 5)


def test_an_app_without_the_runtime_has_no_signals_of_its_own() -> None:
    window = Window([page(0, "http_server_active_requests 1\n"), page(1, "")])
    assert seen(Part.APP, window).app == ()


def test_waiting_statements_are_active_but_not_busy() -> None:
    found = seen(Part.DATABASE, Window([page(0, DATABASE), page(1, DATABASE)])).database
    assert found is not None
    assert (found.active, found.busy) == (5, 3)
    assert (found.cpu, found.query_seconds) == (None, None)


def test_waits_in_the_pooler_come_from_its_exporter_if_available() -> None:
    text = "pgbouncer_pools_client_waiting_connections 0\n"
    text += "pgbouncer_stats_totals_client_wait_seconds_total {}\n"
    window = Window([page(0, text.format(0)), page(10, text.format(25))])
    found = seen(Part.POOLER, window).pooler
    assert found is not None
    assert found.waiting == 2.5


def test_events_at_one_time_are_a_burst() -> None:
    uses = "db_client_connection_use_time_seconds_count"
    counts = [0, 0, 0, 0, 100, 100, 100, 100, 100]
    scrapes = [page(at, f"{uses} {count}\n") for at, count in enumerate(counts)]
    found = seen(Part.APP, Window(scrapes)).bursts
    assert found is not None
    assert (found.database, found.requests, found.misses) == (1.0, 0.0, None)
    assert found.peak_per_second == 100


def test_only_kills_of_the_app_are_counted() -> None:
    pods = [Pod("a", Part.APP, 3, True), Pod("b", Part.APP, 1), Pod("c", Part.CACHE, 1, True)]
    assert readings.read({}, pods, planned=Planned()).memory_kills == (MemoryKill("a", 3),)


def test_logs_of_nginx_and_caddy_show_connections_closed_by_the_app() -> None:
    nginx = [
        '{"time":"2026-11-23T04:00:00+00:00","status":"200","path":"/"}',
        '{"status":"502","upstream_connect_seconds":"0.000","upstream_bytes":"0"}',
        '{"status":"502","upstream_connect_seconds":"-, 0.001","upstream_bytes":"0, 0"}',
        '{"status":"502","upstream_connect_seconds":"-","upstream_bytes":"0"}',
        '{"status":"502","upstream_connect_seconds":"0.000","upstream_bytes":"120"}',
        '{"status":"200","upstream_connect_seconds":"0.0, 0.1","upstream_bytes":"0, 90"}',
        "2026/11/23 04:00:00 [notice] 7#7: start worker processes",
    ]
    assert readings.read_proxy_log(nginx) == ProxyLog(6, 4, 2)
    caddy = [
        '{"level":"info","logger":"http.log.access","msg":"handled request","status":502}',
        '{"level":"error","logger":"http.log.error","msg":"EOF","status":502}',
        '{"level":"info","logger":"http.log.access","msg":"handled request","status":200}',
        "not json {",
    ]
    assert readings.read_proxy_log(caddy) == ProxyLog(2, 1, 1)
