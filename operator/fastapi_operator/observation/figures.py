"""The measurements of a service from its summary: the same figures as ``measure`` has."""

import datetime

from fastapi_operator.observability.samples import Histogram
from fastapi_operator.observation.hours import HOUR_SECONDS, Hour, Hours
from fastapi_operator.observation.reading import BOUNDS_SECONDS
from fastapi_operator.tuning.measurements import Figure, Figures, Measurements

_P95 = 0.95


def measurements(hours: Hours, service: str, *, now: float) -> Measurements:
    """Returns the measurements: means and durations of the last day, peaks of the last week.

    Args:
        hours: The summary.
        service: The service, as namespace/name.
        now: The time, in seconds since 1970.
    """
    day, week = hours.day, hours.week
    measured = {
        name: Figure(value=value, seconds=day.seconds, count=int(day.requests))
        for name, value in _of_requests(day).items()
        if value > 0
    }
    peaks = {
        "requests_in_flight_per_worker": week.peak_in_flight,
        "cpu_cores_per_worker": week.peak_cores,
        "peak_requests_per_second": week.peak_rate,
    }
    measured |= {
        name: Figure(value=value, seconds=hours.span_seconds, count=int(week.requests))
        for name, value in peaks.items()
        if value > 0
    }
    if week.resident_kibibytes > 0:
        measured["worker_memory_bytes"] = Figure(
            value=week.resident_kibibytes * 1024, seconds=day.age_seconds, count=int(day.served)
        )
    return Measurements(
        service=service,
        until=datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        busy_share=_ratio(day.cpu_seconds, day.worker_seconds),
        shed_share=_ratio(day.shed, day.shed + day.requests),
        pool_wait_milliseconds=1000 * day.wait_seconds / day.checkouts if day.checkouts else None,
        threads_waiting=_ratio(day.waiting_seconds, day.seconds),
        pool_use_share=day.peak_pool_share if day.checkouts else None,
        cpu_wait_share=_ratio(day.cpu_wait_seconds, day.worker_seconds),
        memory_growth_bytes_per_hour=1024
        * HOUR_SECONDS
        * _ratio(day.growth_kibibytes, day.seconds),
        start_seconds=day.start_seconds or None,
        figures=Figures(**measured),
    )


def _of_requests(day: Hour) -> dict[str, float]:
    if not day.requests:
        return {}
    return {
        "cpu_milliseconds_per_request": 1000 * day.cpu_seconds / day.requests,
        "database_milliseconds_per_request": 1000 * day.hold_seconds / day.requests,
        # Little's law: busy threads are calls per second times their duration.
        "blocking_milliseconds_per_request": 1000 * day.thread_seconds / day.requests,
        "p95_milliseconds": 1000 * _histogram(day).quantile(_P95),
    }


def _histogram(hour: Hour) -> Histogram:
    within, buckets = 0.0, []
    for bound, count in zip(BOUNDS_SECONDS, hour.durations, strict=True):
        within += count
        buckets.append((bound, within))
    # Rounded counts of the buckets may exceed the rounded number of requests.
    count = max(hour.requests, within)
    return Histogram((*buckets, (float("inf"), count)), 0.0, count)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
