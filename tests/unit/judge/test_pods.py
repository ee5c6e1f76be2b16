"""CPU per request, memory and restarts of both versions' pods."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from fastapi_operator.judge.counts import Version
from fastapi_operator.judge.pods import WINDOW_SECONDS, PodReading, Pods
from fastapi_operator.judge.verdict import ERROR_OF_SUSPICION, ERROR_OF_TEST

MIB = 2**20
SURE, SUSPICIOUS = -math.log(ERROR_OF_TEST), -math.log(ERROR_OF_SUSPICION)
STABLE_AGE, CANARY_AGE = 86_400.0, 90.0


def pod(version: Version, seconds: float, **figures: Any) -> PodReading:
    age = STABLE_AGE if version is Version.STABLE else CANARY_AGE
    usual = {
        "cpu_seconds": 0.15 * seconds,
        "requests": round(50 * seconds),
        "memory_bytes": 120 * MIB,
    }
    return PodReading(version=version, age_seconds=age + seconds, **(usual | figures))


def watched(
    canary: Callable[[float], dict[str, Any]],
    *,
    windows: int = 16,
    pause: float = WINDOW_SECONDS,
    limit: float | None = 256 * MIB,
    stable: Callable[[float], dict[str, Any]] = lambda seconds: {},
) -> Pods:
    """The windows of a stable pod, and of a canary pod with these figures."""
    found = Pods()
    for number in range(windows + 1):
        at = number * pause
        readings = {
            "old": pod(Version.STABLE, at, **stable(at)),
            "new": pod(Version.CANARY, at, **canary(at)),
        }
        found = found.record(1000 + at, readings, memory_limit_bytes=limit)
    return found


def largest(found: Pods) -> float:
    return max(found.cpu.evidence, found.leak_evidence, found.restart_evidence)


def test_pods_that_are_the_same_are_no_evidence() -> None:
    found = watched(lambda seconds: {})
    assert (found.cpu.wins, found.cpu.losses) == (0, 16)
    assert largest(found) <= 0


def test_no_pods_are_no_evidence() -> None:
    found = Pods().record(0.0, {}, memory_limit_bytes=None)
    assert found == Pods()
    assert largest(found) == 0


def test_half_more_cpu_per_request_is_found() -> None:
    found = watched(lambda seconds: {"cpu_seconds": 1.5 * 0.15 * seconds})
    assert found.cpu.evidence > SURE
    assert found.cpu_per_request(Version.CANARY) == pytest.approx(0.0045)
    assert found.cpu_per_request(Version.STABLE) == pytest.approx(0.003)


def test_a_tenth_more_cpu_per_request_is_tolerated() -> None:
    assert watched(lambda seconds: {"cpu_seconds": 1.1 * 0.15 * seconds}).cpu.evidence <= 0


def few_requests(per_second: int) -> Callable[[float], dict[str, Any]]:
    """A worker that uses 5 ms a second to keep time and to be scraped."""
    return lambda seconds: {
        "cpu_seconds": (0.003 * per_second + 0.005) * seconds,
        "requests": round(per_second * seconds),
    }


def test_the_cpu_of_an_idle_worker_is_not_its_requests() -> None:
    """With few requests, a worker that is as good looks a quarter more expensive per request."""
    found = watched(few_requests(6))
    assert found.cpu_per_request(Version.CANARY) == pytest.approx(0.0038, abs=1e-4)
    assert found.cpu.losses == 16
    assert watched(few_requests(3)).cpu_per_request(Version.CANARY) is None


@pytest.mark.parametrize(
    "canary",
    [
        lambda seconds: {"requests": round(seconds)},  # too few to know
        lambda seconds: {"cpu_seconds": None, "requests": None, "memory_bytes": None},
        lambda seconds: {"cpu_seconds": 1.0, "requests": 10, "memory_bytes": 0.0},
    ],
)
def test_cpu_that_is_not_known_is_not_judged(canary: Callable[[float], dict[str, Any]]) -> None:
    found = watched(canary)
    assert (found.cpu.wins, found.cpu.losses) == (0, 0)
    assert found.cpu_per_request(Version.CANARY) is None


def test_the_cpu_of_a_start_is_not_judged() -> None:
    readings = {
        name: PodReading(version, 0.0, cpu_seconds=0.0, requests=0)
        for name, version in (("old", Version.STABLE), ("new", Version.CANARY))
    }
    later = {
        name: PodReading(reading.version, 20.0, cpu_seconds=5.0, requests=1000)
        for name, reading in readings.items()
    }
    found = Pods().record(0.0, readings, memory_limit_bytes=None)
    assert found.record(20.0, later, memory_limit_bytes=None).cpu.losses == 0


def test_windows_are_not_shorter_than_planned() -> None:
    found = watched(lambda seconds: {}, windows=16, pause=WINDOW_SECONDS / 2)
    assert found.cpu.losses == 8


def test_a_leak_is_found() -> None:
    found = watched(lambda seconds: {"memory_bytes": 120 * MIB + 0.2 * MIB * seconds})
    assert found.leak_evidence > SURE
    assert found.growth == pytest.approx(0.2 * MIB)


def test_a_leak_is_found_without_a_limit() -> None:
    found = watched(lambda seconds: {"memory_bytes": 120 * MIB + 0.2 * MIB * seconds}, limit=None)
    assert found.leak_evidence > SURE


@pytest.mark.parametrize(
    "memory",
    [
        # It fills its caches, and slows down.
        lambda seconds: (150 - 30 * 0.99**seconds) * MIB,
        # It would need two hours to reach the limit.
        lambda seconds: (120 + 0.018 * seconds) * MIB,
        # It grows, and is given back.
        lambda seconds: (120 + seconds % 45) * MIB,
        lambda seconds: (120 - 0.1 * seconds) * MIB,
    ],
)
def test_memory_that_will_not_run_out_is_not_a_leak(memory: Callable[[float], float]) -> None:
    assert watched(lambda seconds: {"memory_bytes": memory(seconds)}).leak_evidence < SURE / 2


def test_a_leak_that_the_stable_version_has_too_is_not_the_canarys() -> None:
    def leaking(seconds: float) -> dict[str, Any]:
        return {"memory_bytes": 120 * MIB + 0.2 * MIB * seconds}

    assert watched(leaking, stable=leaking).leak_evidence <= 0


def restarting(times: Iterable[float]) -> Callable[[float], dict[str, Any]]:
    moments = tuple(times)
    return lambda seconds: {"restarts": sum(moment <= seconds for moment in moments)}


def test_a_third_restart_is_found_beside_a_stable_version_without_any() -> None:
    """One may be the node's; the second keeps the canary at its step."""
    evidence = [
        watched(restarting([20, 60, 100][:restarts])).restart_evidence for restarts in range(4)
    ]
    assert evidence[0] == 0
    assert evidence[1] < SURE / 2
    assert SUSPICIOUS < evidence[2] < SURE < evidence[3]


def test_restarts_that_the_stable_version_has_as_often_are_not_the_canarys() -> None:
    found = watched(restarting([20, 60]), stable=lambda seconds: {"restarts": 300 + (seconds > 30)})
    assert found.restart_evidence < 1


def test_the_figures_of_a_pod_that_restarted_are_not_compared() -> None:
    found = watched(lambda seconds: {"restarts": round(seconds), "cpu_seconds": 100 * seconds})
    assert (found.cpu.wins, found.leak.wins) == (0, 0)


def test_windows_are_restored_from_their_dump() -> None:
    found = watched(lambda seconds: {"memory_bytes": 120 * MIB + 0.2 * MIB * seconds})
    assert Pods.parse(found.dump()).dump() == found.dump()
    assert Pods.parse(Pods().dump()) == Pods()


def test_a_clock_that_goes_back_begins_another_window() -> None:
    later = Pods().record(3600.0, {}, memory_limit_bytes=None)
    reading = {"shop-1": PodReading(Version.CANARY, 100.0)}
    later = later.record(3600.0, reading, memory_limit_bytes=None)
    back = later.record(5.0, reading, memory_limit_bytes=None)
    assert back.began == 5.0
    assert back.cpu == later.cpu and back.growths == later.growths
