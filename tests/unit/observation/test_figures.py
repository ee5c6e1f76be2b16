"""The measurements of a summary."""

import pytest

from fastapi_operator.observation.figures import measurements
from fastapi_operator.observation.hours import HOUR_SECONDS, KEPT_HOURS, NOTHING, Hour, Hours
from fastapi_operator.observation.reading import BOUNDS_SECONDS
from fastapi_operator.tuning.measurements import Measurements

NOW = 500_000
# An hour of a pod with two workers, 10 requests a second of 30 ms.
BUSY = Hour(
    seconds=3300,
    requests=33_000,
    cpu_seconds=132,
    cpu_wait_seconds=66,
    hold_seconds=660,
    wait_seconds=33,
    checkouts=33_000,
    thread_seconds=330,
    waiting_seconds=1650,
    worker_seconds=6600,
    growth_kibibytes=110,
    peak_rate=40,
    peak_cores=0.05,
    peak_in_flight=6,
    peak_pool_share=0.5,
    resident_kibibytes=90_000,
    age_seconds=86_400,
    served=500_000,
    start_seconds=4,
    durations=(0, 0, 0, 33_000, *[0] * (len(BOUNDS_SECONDS) - 4)),
)


def measured(hours: Hours) -> Measurements:
    return measurements(hours, "team/shop", now=NOW * HOUR_SECONDS)


def test_means_are_of_the_day_and_peaks_of_the_week() -> None:
    hours = Hours({NOW - age: BUSY for age in range(KEPT_HOURS)})
    monday = Hours({NOW - 100: Hour(seconds=1, peak_rate=900, resident_kibibytes=120_000)})
    found = measured(hours + monday)
    values = {name: figure.value for name, figure in found.figures.present()}
    assert values == pytest.approx(
        {
            "cpu_milliseconds_per_request": 4,
            "database_milliseconds_per_request": 20,
            "blocking_milliseconds_per_request": 10,
            "p95_milliseconds": 48.75,
            "requests_in_flight_per_worker": 6,
            "worker_memory_bytes": 120_000 * 1024,
            "cpu_cores_per_worker": 0.05,
            "peak_requests_per_second": 900,
        }
    )
    assert found.figures.cpu_milliseconds_per_request is not None
    assert found.figures.cpu_milliseconds_per_request.count == 24 * 33_000
    assert found.figures.peak_requests_per_second is not None
    assert found.figures.peak_requests_per_second.seconds == 7 * 86_400
    others = found.model_dump(exclude={"figures", "service", "until"})
    assert others == pytest.approx(
        {
            "busyShare": 0.02,
            "shedShare": 0,
            "poolWaitMilliseconds": 1,
            "threadsWaiting": 0.5,
            "poolUseShare": 0.5,
            "cpuWaitShare": 0.01,
            "memoryGrowthBytesPerHour": 122_880,
            "startSeconds": 4,
        }
    )


def test_an_idle_service_has_no_figures_of_requests() -> None:
    found = measured(Hours({NOW: Hour(seconds=3300, resident_kibibytes=50_000)}))
    assert [name for name, _ in found.figures.present()] == ["worker_memory_bytes"]
    assert not found.enough()
    assert not tuple(measured(NOTHING).figures.present())
