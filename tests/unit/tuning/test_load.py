"""Threads against connections, and the declared peak against what the pods accept."""

import math
from typing import Any

import pytest
from hypothesis import given

from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import SPECS, service

PEAK = {"peakRequestsPerSecond": 1000, "cpuMillisecondsPerRequest": 2, "p95Milliseconds": 50}


def plan(**spec: Any) -> Plan:
    return derive(service(**spec), Settings(), Facts())


def paths(found: Plan) -> list[str]:
    return [problem.path for problem in found.problems]


def test_a_blocking_driver_has_no_more_threads_than_connections() -> None:
    found = plan(postgres={"backup": {}, "driver": "Blocking"})
    assert found.pool is not None
    assert found.server.threads.value == found.pool.size.value == 10
    assert "each busy thread holds one of the 10" in found.server.threads.reason
    assert plan(postgres={"backup": {}}).server.threads.value == 40
    assert not found.problems


def test_fewer_threads_than_connections_stay_as_they_are() -> None:
    traffic = {"blockingMillisecondsPerRequest": 2, "cpuMillisecondsPerRequest": 2}
    found = plan(postgres={"driver": "Blocking", "backup": {}}, traffic=traffic)
    assert found.server.threads.value == 8


def test_threads_that_were_set_above_the_pool_are_named() -> None:
    found = plan(postgres={"backup": {}, "driver": "Blocking"}, server={"threads": 40})
    (problem,) = found.problems
    assert problem.path == "spec.server.threads"
    assert "40 threads share 10 connections" in problem.message
    assert problem.remedy == "set at most 10, or remove it"


@given(SPECS)
def test_threads_never_wait_for_connections_behind_a_blocking_driver(spec: dict[str, Any]) -> None:
    blocking = spec.get("postgres", {}) | {"driver": "Blocking"}
    found = plan(**{**spec, "postgres": blocking})
    assert found.pool is not None
    fits = found.server.threads.value <= found.pool.size.value
    assert fits or "spec.server.threads" in paths(found)


@pytest.mark.parametrize(("target", "warned"), [(20, False), (64, False), (65, True)])
def test_a_target_above_the_shedding_limit_of_a_pod_is_a_warning(target: int, warned: bool) -> None:
    found = plan(scaling={"targetInFlight": target, "minReplicas": 2})
    assert ("spec.scaling.targetInFlight" in paths(found)) is warned


def test_without_a_limit_of_the_proxy_the_processes_decide() -> None:
    scaling = {"targetInFlight": 64, "minReplicas": 2}
    for proxy in ({"balancing": "Service"}, {"engine": "None"}, {"maxConnectionsPerPod": 64}):
        assert not plan(scaling=scaling, proxy=proxy).problems


def test_derived_pods_hold_the_declared_peak() -> None:
    found = plan(traffic=PEAK)
    assert not found.problems
    assert found.proxy is not None and found.proxy.max_connections_per_pod is not None
    pods, per_pod = found.scaling.max_replicas.value, found.proxy.max_connections_per_pod.value
    assert pods * per_pod >= 1000 * 0.050


def test_too_few_pods_for_the_declared_peak_are_named_with_their_number() -> None:
    slow = PEAK | {"p95Milliseconds": 2000}
    found = plan(traffic=slow, scaling={"maxReplicas": 1})
    (problem,) = found.problems
    assert problem.path == "spec.scaling.maxReplicas"
    assert "are 2000 at once; the capacity of 1 pod is" in problem.message
    assert found.proxy is not None and found.proxy.max_connections_per_pod is not None
    enough = math.ceil(2000 / found.proxy.max_connections_per_pod.value)
    assert f"allow {enough} pods" in problem.remedy
    assert not plan(traffic=slow, scaling={"maxReplicas": enough}).problems


@pytest.mark.parametrize(
    ("limits", "traffic", "most", "least"),
    [
        # Without a CPU limit a process has a core, which serves 64 requests in time.
        (None, None, 64, 64),
        ({"cpu": "500m"}, None, 64, 64),
        ({"cpu": "200m"}, None, 32, 32),
        ({"cpu": "200m"}, {"cpuMillisecondsPerRequest": 3, "p95Milliseconds": 10}, 18, 18),
        (None, {"cpuMillisecondsPerRequest": 50, "p95Milliseconds": 100}, 16, 16),
        ({"cpu": "4"}, {"cpuMillisecondsPerRequest": 1, "p95Milliseconds": 100}, 170, 64),
    ],
)
def test_a_pod_gets_as_many_requests_as_it_serves_in_time(
    limits: dict[str, str] | None, traffic: dict[str, int] | None, most: int, least: int
) -> None:
    found = plan(resources={"limits": limits}, traffic=traffic)
    server, proxy = found.server, found.proxy
    assert (server.max_in_flight.value, server.min_in_flight.value) == (most, least)
    assert proxy is not None
    assert proxy.max_connections_per_pod is not None
    assert proxy.max_connections_per_pod.value == server.workers.value * most


def test_the_reason_for_few_requests_is_the_time_that_they_wait() -> None:
    traffic = {"cpuMillisecondsPerRequest": 3, "p95Milliseconds": 10}
    found = plan(resources={"limits": {"cpu": "200m"}}, traffic=traffic)
    assert found.server.max_in_flight.reason == (
        "the CPU limit of 0.2 CPU, workers: 1, is enough for 67 requests a second in a process, at "
        "3 ms of CPU. So many arrive in 250 ms and the 10 ms of a request; more would wait longer. "
        "At least the 16 that its event loop sustains"
    )
