"""Each shared alert fires on its cause and on no other, according to promtool."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.observability.alerts import catalog
from fastapi_operator.observability.alerts.alert import Alert
from fastapi_operator.observability.alerts.catalog import ALERTS
from fastapi_operator.observability.promql import CADDY_REQUESTS
from tests.promtool import NoPromtoolError, promtool

OF_SHOP = 'namespace="team", fastapi_operator_io_service="shop"'
RUNBOOKS = "https://runbooks.example.com"
Series = dict[str, str]


def scraped(part: str, *labels: str) -> str:
    """The labels that a monitor adds to the series of a pod."""
    pod = f'pod="shop-{part}-1"'
    return ", ".join((OF_SHOP, f'app_kubernetes_io_component="{part}"', pod, *labels))


def flat(value: float) -> str:
    return f"{value}x90"


def rising(per_second: float) -> str:
    return f"0+{per_second * 60:g}x90"


def gauge(name: str, value: float, labels: str = OF_SHOP) -> Series:
    return {f"{name}{{{labels}}}": flat(value)}


def counter(name: str, per_second: float, labels: str = OF_SHOP) -> Series:
    return {f"{name}{{{labels}}}": rising(per_second)}


def planned(decision: str, value: float) -> Series:
    return gauge("fastapi_operator_planned", value, f'{OF_SHOP}, decision="{decision}"')


def up(part: str) -> Series:
    return gauge("up", 1, scraped(part))


def lag(within: str, per_second: float = 10) -> Series:
    """Event loop lag, with all observations at or below one bound."""
    labels, bounds = scraped("app"), ("0.05", "0.1", "0.25", "0.5", "+Inf")
    reached = bounds[bounds.index(within) :]
    return {
        f'fastapi_worker_event_loop_lag_seconds_bucket{{{labels}, le="{le}"}}': rising(
            per_second if le in reached else 0
        )
        for le in bounds
    }


def pool_wait(within: str) -> Series:
    labels, bounds = scraped("app"), ("0.01", "0.1", "+Inf")
    reached = bounds[bounds.index(within) :]
    return {
        f'db_client_connection_wait_time_seconds_bucket{{{labels}, le="{le}"}}': rising(
            5 if le in reached else 0
        )
        for le in bounds
    }


def cores(used: float, workers: int = 1) -> Series:
    app = scraped("app")
    return counter("fastapi_worker_cpu_seconds_total", used, app) | gauge(
        "fastapi_worker_processes", workers, app
    )


def without_cpu(share: float, late: float) -> Series:
    """The share of each second for which workers wait for a CPU, and the event loop is late."""
    app = scraped("app")
    return counter("fastapi_worker_cpu_wait_seconds_total", share, app) | counter(
        "fastapi_worker_event_loop_lag_seconds_sum", late, app
    )


def work(*of_pods: float) -> Series:
    """The CPU usage of each pod, and requests in proportion to it."""
    found: Series = {}
    for number, used in enumerate(of_pods):
        pod = scraped("app").replace("app-1", f"app-{number}")
        found |= counter("fastapi_worker_cpu_seconds_total", used, pod)
        found |= counter("http_server_request_duration_seconds_count", 100 * used, pod)
    return found


def accepted(in_flight: int, desired: int) -> Series:
    """Requests in flight, of the 100 that an idle worker accepts, and the desired pods."""
    return (
        gauge("http_server_active_requests", in_flight, scraped("app"))
        | planned("server.max_in_flight", 100)
        | cores(0.1)
        | autoscaler(2, f"{desired}x90")
    )


def threads(used: int, waiting: int) -> Series:
    app = scraped("app")
    return (
        gauge("fastapi_worker_threads_max", 40, app)
        | gauge("fastapi_worker_threads_used", used, app)
        | gauge("fastapi_worker_threads_waiting", waiting, app)
    )


def process(pod: str, values: str, job: str = "fastapi-operator") -> Series:
    """One process of the operator: 1 while it works."""
    labels = f'namespace="system", job="{job}", pod="{pod}"'
    return {f"fastapi_operator_working{{{labels}}}": values}


def throttled(share: float) -> Series:
    container = 'namespace="team", pod="shop-app-1", container="app"'
    return (
        up("app")
        | counter("container_cpu_cfs_periods_total", 10, container)
        | counter("container_cpu_cfs_throttled_periods_total", 10 * share, container)
    )


def responses(good: float, bad: float = 0, shed: float = 0) -> Series:
    name, app = "http_server_request_duration_seconds_count", scraped("app")
    return (
        counter(name, good, f'{app}, http_response_status_code="200"')
        | counter(name, bad, f'{app}, http_response_status_code="500"')
        | counter("fastapi_worker_shed_requests_total", shed, app)
    )


def proxied(code: str, per_second: float) -> Series:
    name, labels = "fastapi_proxy_request_duration_seconds_count", scraped("proxy")
    return counter(name, 10, f'{labels}, http_response_status_code="200"') | counter(
        name, per_second, f'{labels}, http_response_status_code="{code}"'
    )


def rejected(per_second: float) -> Series:
    """Rejections by nginx of ten requests a second, beside one client above its rate."""
    labels = scraped("proxy")
    return (
        counter(
            "fastapi_proxy_request_duration_seconds_count",
            10,
            f'{labels}, http_response_status_code="200"',
        )
        | counter("fastapi_proxy_shed_total", per_second, f'{labels}, reason="pods"')
        | counter("fastapi_proxy_shed_total", 5, f'{labels}, reason="rate"')
    )


def versions(canary: float, stable: float) -> Series:
    """Ten requests a second for each version, and the share of them that fail."""
    name, found = "fastapi_proxy_version_request_duration_seconds_count", Series()
    for version, share in (("canary", canary), ("stable", stable)):
        labels = scraped("proxy", 'canary="3f9a01bc"', 'step="2"', f'version="{version}"')
        found |= counter(name, 10 * (1 - share), f'{labels}, status="2xx"')
        if share:
            found |= counter(name, 10 * share, f'{labels}, status="5xx"')
    return found


def container(name: str, metric: str, part: str, value: str) -> Series:
    return up(part) | {
        f'{metric}{{namespace="team", pod="shop-{part}-1", container="{name}"}}': value
    }


def killed(restarts: str, reason: str = "OOMKilled") -> Series:
    labels = 'namespace="team", pod="shop-app-1", container="app"'
    last = "kube_pod_container_status_last_terminated_reason"
    return (
        up("app")
        | {f"kube_pod_container_status_restarts_total{{{labels}}}": restarts}
        | gauge(last, 1, f'{labels}, reason="{reason}"')
    )


def pooler(waiting: int, maxwait: float, active: int = 10) -> Series:
    labels, pools = scraped("pooler"), "pgbouncer_pools_client"
    return (
        gauge(f"{pools}_waiting_connections", waiting, labels)
        | gauge(f"{pools}_active_connections", active, labels)
        | gauge(f"{pools}_maxwait_seconds", maxwait, labels)
        | planned("pooler.max_client_connections", 100)
    )


def database(active: int, connections: int = 20, waits_for: str = "") -> Series:
    labels = scraped("database")
    running = f'{labels}, state="active", wait_event_type="{waits_for}"'
    return (
        planned("postgres.cpu_millicores", 2000)
        | gauge("pg_stat_activity_count", active, running)
        | gauge("pg_stat_activity_count", connections - active, f'{labels}, state="idle"')
        | gauge("pg_settings_max_connections", 100, labels)
    )


def scans(per_second: float, rows: float) -> Series:
    labels = scraped("database", 'relname="orders"')
    return counter("pg_stat_user_tables_seq_scan", per_second, labels) | counter(
        "pg_stat_user_tables_seq_tup_read", per_second * rows, labels
    )


def volume(free: float, claim: str = "shop-postgres-data") -> Series:
    labels = f'namespace="team", persistentvolumeclaim="{claim}"'
    return (
        gauge("kubelet_volume_stats_capacity_bytes", 100, labels)
        | gauge("kubelet_volume_stats_available_bytes", 100 * free, labels)
        | planned("scaling.max_replicas", 4)
    )


def backup(minutes_between: int, succeeded: str) -> Series:
    labels = 'namespace="team", cronjob="shop-postgres-backup"'
    return (
        {f"kube_cronjob_status_last_successful_time{{{labels}}}": succeeded}
        | gauge("kube_cronjob_status_last_schedule_time", 0, labels)
        | gauge("kube_cronjob_next_schedule_time", 60 * minutes_between, labels)
        | planned("scaling.max_replicas", 4)
    )


def lookups(hits: float, misses: float, evicted: float) -> Series:
    labels = scraped("cache")
    return (
        counter("redis_keyspace_hits_total", hits, labels)
        | counter("redis_keyspace_misses_total", misses, labels)
        | counter("redis_evicted_keys_total", evicted, labels)
    )


def commands(seconds_each: float) -> Series:
    labels = scraped("cache", 'cmd="get"')
    return counter("redis_commands_total", 100, labels) | counter(
        "redis_commands_duration_seconds_total", 100 * seconds_each, labels
    )


def stored(each_second: float, expired: float) -> Series:
    labels = scraped("cache")
    return counter("redis_commands_total", each_second, f'{labels}, cmd="set"') | counter(
        "redis_expired_keys_total", expired, labels
    )


def seen_in_app(within: str) -> Series:
    """Cache calls of the app, all at or below one bound."""
    labels = scraped("app", 'db_system_name="redis"', 'error_type=""')
    bounds = ("0.005", "0.02", "0.1", "+Inf")
    reached = bounds[bounds.index(within) :]
    name = "db_client_operation_duration_seconds"
    return counter(f"{name}_count", 10, labels) | {
        f'{name}_bucket{{{labels}, le="{le}"}}': rising(10 if le in reached else 0) for le in bounds
    }


def queue(used: int) -> Series:
    labels = scraped("queue")
    return gauge("redis_memory_used_bytes", used, labels) | gauge(
        "redis_memory_max_bytes", 100, labels
    )


def autoscaler(current: int, wanted: str = "4x90", least: int = 2) -> Series:
    labels, name = (
        'namespace="team", horizontalpodautoscaler="shop"',
        "kube_horizontalpodautoscaler",
    )
    return (
        gauge(f"{name}_status_current_replicas", current, labels)
        | gauge(f"{name}_spec_max_replicas", 4, labels)
        | gauge(f"{name}_spec_min_replicas", least, labels)
        | {f"{name}_status_desired_replicas{{{labels}}}": wanted}
        | planned("scaling.max_replicas", 4)
    )


def condition(kind: str, reason: str) -> Series:
    labels = f'{OF_SHOP}, condition="{kind}", reason="{reason}"'
    return gauge("fastapi_operator_condition", 1, labels)


def passes(outcome: str, per_second: float) -> Series:
    labels = f'outcome="{outcome}"'
    return counter("fastapi_operator_pass_duration_seconds_count", per_second, labels)


@dataclass(frozen=True)
class Case:
    """Series on which an alert fires after an hour, and near misses on which it does not."""

    fires: Series
    silent: Series
    also: tuple[str, ...] = ()
    # Other alerts that fire on the near misses.
    instead: tuple[str, ...] = ()
    without: tuple[str, ...] = field(default=())


RUNNING: Series = {"fastapi_operator_working": "1x200"}
_UP_AND_DOWN = "4x10 5x10 4x10 5x10 4x10 5x10 4x90"
_UP_ONLY = "4x10 5x10 6x10 7x10 8x10 9x10 9x90"

CASES = {
    "FastAPIEventLoopBlocked": Case(
        lag("0.5") | cores(0.2) | without_cpu(0.1, 0.5), lag("0.05") | cores(0.2)
    ),
    "FastAPICPUStarved": Case(
        lag("0.5") | cores(0.2) | without_cpu(0.4, 0.5),
        lag("0.5") | cores(0.2) | without_cpu(0.4, 0.5) | throttled(0.2),
    ),
    "FastAPIPodsUneven": Case(work(0.6, 0.1, 0.1), work(0.3, 0.25, 0.25)),
    "FastAPIEventLoopBusy": Case(
        lag("0.1") | cores(0.95),
        lag("0.1") | cores(0.95) | throttled(0.2),
    ),
    "FastAPICPUThrottled": Case(throttled(0.4), throttled(0.2)),
    "FastAPIThreadPoolExhausted": Case(
        threads(40, 5) | cores(0.3) | pool_wait("0.01"),
        threads(40, 5) | cores(0.3) | pool_wait("0.1"),
        instead=("FastAPIPoolWait",),
    ),
    "FastAPIPoolWait": Case(
        pool_wait("0.1") | pooler(0, 0) | database(2),
        pool_wait("0.1") | pooler(0, 2) | database(2),
    ),
    "FastAPIMemoryNearLimit": Case(
        container("app", "container_memory_working_set_bytes", "app", flat(95))
        | planned("compute.memory_limit_bytes", 100),
        container("app", "container_memory_working_set_bytes", "app", flat(85))
        | planned("compute.memory_limit_bytes", 100),
    ),
    "FastAPIOutOfMemory": Case(killed("0x50 2x90"), killed("0x50 2x90", reason="Error")),
    "FastAPISheddingRequests": Case(
        responses(10, shed=0.05) | rejected(1), responses(10, shed=0.05) | rejected(0.05)
    ),
    "FastAPIServerErrors": Case(
        responses(10, bad=2),
        responses(10, bad=2) | planned("observability.availability_percent", 99.9),
    ),
    "FastAPIProxyErrors": Case(proxied("502", 0.5), proxied("500", 0.5)),
    "FastAPIPoolerClientsWaiting": Case(
        pooler(3, 1) | database(2),
        pooler(3, 1) | database(12),
        instead=("FastAPIDatabaseSaturated",),
    ),
    "FastAPIPoolerNearBudget": Case(pooler(0, 0, active=90), pooler(0, 0, active=70)),
    "FastAPIPoolerCPU": Case(
        container("pgbouncer", "container_cpu_usage_seconds_total", "pooler", rising(0.9)),
        container("pgbouncer", "container_cpu_usage_seconds_total", "pooler", rising(0.7)),
    ),
    "FastAPIDatabaseDown": Case(
        gauge("pg_up", 0, scraped("database")), gauge("pg_up", 1, scraped("database"))
    ),
    "FastAPIDatabaseSaturated": Case(
        planned("postgres.cpu_millicores", 2000)
        | container("postgres", "container_cpu_usage_seconds_total", "database", rising(1.9)),
        planned("postgres.cpu_millicores", 2000)
        | container("postgres", "container_cpu_usage_seconds_total", "database", rising(1.5)),
    ),
    "FastAPIDatabaseNearMaxConnections": Case(
        database(2, connections=90), database(2, connections=80)
    ),
    "FastAPISequentialScans": Case(scans(1, 50_000), scans(1, 500)),
    "FastAPIVolumeFilling": Case(volume(0.1), volume(0.3)),
    "FastAPIVolumeFull": Case(
        volume(0.02),
        volume(0.1),
        also=("FastAPIVolumeFilling",),
        instead=("FastAPIVolumeFilling",),
    ),
    "FastAPIBackupTooOld": Case(backup(10, flat(0)), backup(60, flat(0))),
    "FastAPICacheTooSmall": Case(lookups(5, 5, 1), lookups(5, 5, 0)),
    "FastAPICacheStampede": Case(
        lookups(90, 10, 0) | stored(10, 0.5), lookups(90, 10, 0) | stored(0.6, 0.5)
    ),
    "FastAPICacheSlow": Case(commands(0.02), commands(0.001) | seen_in_app("0.02")),
    "FastAPICacheDown": Case(
        gauge("redis_up", 0, scraped("cache")), gauge("redis_up", 1, scraped("cache"))
    ),
    "FastAPIQueueDown": Case(
        gauge("redis_up", 0, scraped("queue")), gauge("redis_up", 1, scraped("queue"))
    ),
    "FastAPIQueueFilling": Case(queue(90), queue(70)),
    "FastAPIQueueFull": Case(
        queue(97), queue(90), also=("FastAPIQueueFilling",), instead=("FastAPIQueueFilling",)
    ),
    "FastAPIAutoscalerAtMax": Case(autoscaler(4), autoscaler(4, least=4)),
    "FastAPIAutoscalerBlind": Case(accepted(60, desired=2), accepted(60, desired=4)),
    "FastAPIAutoscalerFlapping": Case(autoscaler(3, _UP_AND_DOWN), autoscaler(3, _UP_ONLY)),
    "FastAPIMigrationFailed": Case(
        condition("MigrationsReady", "MigrationFailed") | condition("Stalled", "MigrationFailed"),
        condition("MigrationsReady", "MigrationRunning"),
    ),
    "FastAPIPreflightFailed": Case(
        condition("PreflightReady", "PreflightFailed") | condition("Stalled", "PreflightFailed"),
        condition("PreflightReady", "PreflightRunning"),
    ),
    "FastAPIRolloutStuck": Case(
        condition("ApplicationReady", "CrashLoopBackOff"),
        condition("ApplicationReady", "WaitingForMigration")
        | condition("MigrationsReady", "MigrationRunning"),
    ),
    "FastAPICanaryAborted": Case(
        condition("Stalled", "CanaryAborted"), condition("MigrationsReady", "MigrationRunning")
    ),
    "FastAPICanaryErrors": Case(
        versions(canary=0.1, stable=0.0), versions(canary=0.1, stable=0.03)
    ),
    "FastAPIServiceStalled": Case(
        condition("Stalled", "NameTaken"),
        condition("Stalled", "MigrationFailed"),
    ),
    "FastAPIPartNotReady": Case(
        condition("BackupReady", "RunFailed"),
        condition("MigrationsReady", "MigrationRunning"),
    ),
    "FastAPIOperatorDown": Case(
        process("a", "0x200") | process("b", "0x200"),
        # A standby takes over within the time that the alert waits.
        process("a", "1x30 0x200") | process("b", "0x33 1x200"),
        without=("fastapi_operator_working",),
    ),
    "FastAPIOperatorQueueWait": Case(
        {"fastapi_operator_queue_oldest_wait_seconds": flat(90)},
        {"fastapi_operator_queue_oldest_wait_seconds": flat(30)},
    ),
    "FastAPIOperatorPassesFail": Case(passes("error", 0.01), passes("done", 10)),
    "FastAPIOperatorDeleteBrake": Case(
        {"fastapi_operator_delete_brake": flat(1)}, {"fastapi_operator_delete_brake": flat(0)}
    ),
    "FastAPIOperatorDriftLoop": Case(
        counter("fastapi_operator_writes_total", 0.02, 'kind="Deployment", why="drift"'),
        counter("fastapi_operator_writes_total", 0.02, 'kind="Deployment", why="changed"'),
    ),
}
# Alerts that need a day have separate tests.
SLOW = {"FastAPIMemoryLeak"}


def test_every_alert_has_a_case() -> None:
    assert set(CASES) | SLOW == {alert.name for alert in ALERTS}
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)


def firing(series: Series, expected: set[str], at: str, interval: str = "1m") -> dict[str, Any]:
    """A test of promtool: exactly these alerts fire at that time."""
    return {
        "interval": interval,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": at,
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)
                ],
            }
        ],
    }


def run(directory: Path, tests: list[dict[str, Any]], evaluation: str = "1m") -> None:
    try:
        program = promtool()
    except NoPromtoolError as error:
        pytest.skip(str(error))
    (directory / "rules.yaml").write_text(yaml.safe_dump({"groups": catalog.groups(RUNBOOKS)}))
    (directory / "tests.yaml").write_text(
        yaml.safe_dump(
            {"rule_files": ["rules.yaml"], "evaluation_interval": evaluation, "tests": tests},
            sort_keys=False,
        )
    )
    result = subprocess.run(
        [program, "test", "rules", directory / "tests.yaml"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_alert_fires_only_on_its_cause(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    running = {key: value for key, value in RUNNING.items() if key not in case.without}
    run(
        tmp_path,
        [
            firing(running | case.fires, {name, *case.also}, "1h"),
            firing(RUNNING | case.silent, set(case.instead), "1h"),
        ],
        # The series are constant, so more evaluations within the hour give the same result.
        evaluation="5m",
    )


@pytest.mark.parametrize(
    "values",
    ["", "0x4 _x4 " * 30, "1x20 _x200", "1x20 0x200"],
    ids=["no samples", "starts again and again", "disappears", "loses access"],
)
def test_a_dead_operator_fires(tmp_path: Path, values: str) -> None:
    series = process("a", values.strip()) if values else {}
    run(tmp_path, [firing(series, {"FastAPIOperatorDown"}, "1h")])


def test_a_dead_release_fires_beside_a_working_one(tmp_path: Path) -> None:
    series = process("a", "1x200") | process("b", "0x200", job="second")
    run(tmp_path, [firing(series, {"FastAPIOperatorDown"}, "1h")])


def test_slow_cache_calls_of_the_app_fire_cache_slow(tmp_path: Path) -> None:
    late = commands(0.001) | seen_in_app("0.1")
    run(
        tmp_path,
        [
            firing(RUNNING | late, {"FastAPICacheSlow"}, "1h"),
            # A late event loop measures all calls as late.
            firing(RUNNING | late | lag("0.5") | cores(0.2), {"FastAPIEventLoopBlocked"}, "1h"),
        ],
    )


def test_statements_waiting_for_a_lock_do_not_saturate_the_database(tmp_path: Path) -> None:
    blocked = RUNNING | database(12, waits_for="Lock")
    run(
        tmp_path,
        [
            firing(blocked, set(), "1h"),
            firing(blocked | pooler(3, 0.1), {"FastAPIPoolerClientsWaiting"}, "1h"),
        ],
    )


def test_pool_wait_is_silent_if_the_loop_is_late_or_the_pooler_full(tmp_path: Path) -> None:
    queues = RUNNING | database(2) | pool_wait("0.1") | pooler(3, 0.1)
    late = RUNNING | database(2) | pool_wait("0.1") | pooler(0, 0) | lag("0.5") | cores(0.2)
    run(
        tmp_path,
        [
            firing(queues, {"FastAPIPoolerClientsWaiting"}, "1h"),
            firing(late, {"FastAPIEventLoopBlocked"}, "1h"),
        ],
    )


def test_responses_of_caddy_count_like_those_of_nginx(tmp_path: Path) -> None:
    def answered(code: str, per_second: float) -> Series:
        labels = scraped("proxy", CADDY_REQUESTS, f'code="{code}"')
        return counter("caddy_http_request_duration_seconds_count", per_second, labels)

    run(
        tmp_path,
        [
            firing(
                RUNNING | answered("200", 10) | answered("502", 0.5), {"FastAPIProxyErrors"}, "1h"
            ),
            firing(RUNNING | answered("200", 10) | answered("404", 5), set(), "1h"),
        ],
    )


def test_failures_of_a_canary_that_its_pods_count_fire_without_nginx(tmp_path: Path) -> None:
    def counted(canary: float, stable: float) -> Series:
        """Ten requests a second for each version, and the share of them that fail."""
        found = Series()
        for part, share in (("canary", canary), ("app", stable)):
            for status, per_second in (("200", 10 * (1 - share)), ("500", 10 * share)):
                labels = scraped(part, f'http_response_status_code="{status}"')
                found |= counter("http_server_request_duration_seconds_count", per_second, labels)
        return RUNNING | found

    by_nginx = versions(canary=0.0, stable=0.0)
    run(
        tmp_path,
        [
            firing(counted(canary=0.06, stable=0.0), {"FastAPICanaryErrors"}, "1h"),
            firing(counted(canary=0.06, stable=0.03), set(), "1h"),
            # nginx does not count the requests of testers for a version.
            firing(counted(canary=0.06, stable=0.0) | by_nginx, set(), "1h"),
        ],
    )


def test_growth_during_a_day_is_a_leak_and_a_warm_heap_is_not(tmp_path: Path) -> None:
    def memory(values: str) -> Series:
        name = "fastapi_worker_resident_memory_bytes"
        return RUNNING | {f"{name}{{{scraped('app')}}}": values}

    run(
        tmp_path,
        [
            firing(memory("1000+10x200"), {"FastAPIMemoryLeak"}, "26h", "10m"),
            firing(memory("1000+100x10 2000x190"), set(), "26h", "10m"),
        ],
        evaluation="10m",
    )


def test_an_alert_names_service_value_and_runbook(tmp_path: Path) -> None:
    expected = {
        "eval_time": "1h",
        "alertname": "FastAPIServerErrors",
        "exp_alerts": [
            {
                "exp_labels": {
                    "namespace": "team",
                    "fastapi_operator_io_service": "shop",
                    "service": "shop",
                    "severity": "critical",
                },
                "exp_annotations": {
                    "summary": "shop in team: 20% of the requests fail with 5xx",
                    "runbook_url": f"{RUNBOOKS}/server-errors.md",
                },
            }
        ],
    }
    test = firing(RUNNING | responses(8, bad=2), {"FastAPIServerErrors"}, "1h")
    run(tmp_path, [{**test, "alert_rule_test": [expected]}])


def test_two_services_have_separate_alerts(tmp_path: Path) -> None:
    series = RUNNING | condition("Stalled", "NameTaken")
    both = series | {key.replace('"shop"', '"cart"'): value for key, value in series.items()}
    test = firing(both, {"FastAPIServiceStalled"}, "1h")
    test["promql_expr_test"][0]["exp_samples"][0]["value"] = 2
    run(tmp_path, [test])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_value_and_a_runbook_with_all_sections(alert: Alert) -> None:
    assert "$value" in alert.summary or "$labels.reason" in alert.summary
    page = Path("docs/runbooks") / f"{alert.page}.md"
    text = page.read_text()
    assert alert.name in text
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == [
        "Meaning",
        "Impact",
        "Diagnosis",
        "Mitigation",
    ]
    assert "```console" in text


def cluster(connections: int, running: int = 1, claim_free: float = 0.5) -> Series:
    """A Cluster of CloudNativePG with a busy primary and an idle replica."""
    found: Series = {}
    for number, active in ((1, connections), (2, 3)):
        pod = f'app_kubernetes_io_component="database", pod="shop-postgres-{number}"'
        labels = f"{OF_SHOP}, {pod}"
        found |= gauge("cnpg_collector_up", running, labels)
        found |= gauge("cnpg_backends_total", active, f'{labels}, state="active"')
        found |= gauge("cnpg_backends_total", 0, f'{labels}, state="idle"')
        found |= gauge("cnpg_pg_settings_setting", 100, f'{labels}, name="max_connections"')
        found |= gauge("cnpg_pg_settings_setting", 5, f'{labels}, name="max_wal_senders"')
        found |= volume(claim_free if number == 1 else 0.5, f"shop-postgres-{number}")
    return found


def test_a_cluster_of_cloudnativepg_fires_the_alerts_of_a_database(tmp_path: Path) -> None:
    expected: list[tuple[Series, set[str]]] = [
        (cluster(80), set()),
        (cluster(90), {"FastAPIDatabaseNearMaxConnections"}),
        (cluster(80, running=0), {"FastAPIDatabaseDown"}),
        (cluster(80, claim_free=0.1), {"FastAPIVolumeFilling"}),
    ]
    run(
        tmp_path,
        [firing(RUNNING | series, alerts, "1h") for series, alerts in expected],
        evaluation="5m",
    )
