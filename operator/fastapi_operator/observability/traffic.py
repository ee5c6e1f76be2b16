"""Measures the fields of ``spec.traffic``."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastapi_operator.observability.readings import REQUESTS
from fastapi_operator.observability.samples import NOTHING, Histogram, Window

_HOLDS = "db_client_connection_use_time_seconds"


@dataclass(frozen=True)
class Measured:
    """The traffic of a window.

    Attributes:
        seconds: The length of the window.
        requests: The number of requests.
        fields: The fields of ``spec.traffic`` with their values; unused ones are absent.
    """

    seconds: float
    requests: float
    fields: Mapping[str, int]


def measure(pods: Iterable[Window]) -> Measured:
    """Returns the traffic of the app's pods, whose windows have the same times.

    Raises:
        ValueError: The app completed no request in the window.
    """
    windows = tuple(pods)
    durations = _sum(windows, REQUESTS)
    if not durations.count:
        raise ValueError("the app completed no request")
    seconds = max(window.seconds for window in windows)
    threads = sum(window.mean("fastapi_worker_threads_used") * window.seconds for window in windows)
    found = {
        "peakRequestsPerSecond": _peak(windows),
        "p95Milliseconds": 1000 * durations.quantile(0.95),
        "cpuMillisecondsPerRequest": 1000
        * sum(window.increase("fastapi_worker_cpu_seconds_total") for window in windows)
        / durations.count,
        # Little's law: busy threads are calls per second times their duration.
        "blockingMillisecondsPerRequest": 1000 * threads / durations.count,
        "databaseMillisecondsPerRequest": 1000 * _sum(windows, _HOLDS).total / durations.count,
    }
    fields = {name: math.ceil(value) for name, value in found.items() if value > 0}
    return Measured(seconds, durations.count, fields)


def _sum(windows: Iterable[Window], name: str) -> Histogram:
    return sum((window.histogram(name) for window in windows), NOTHING)


def _peak(windows: Iterable[Window]) -> float:
    """Requests per second in the busiest step of the window."""
    rates = [
        [gained * len(steps) / window.seconds for gained in steps]
        for window in windows
        for steps in (window.steps(f"{REQUESTS}_count"),)
    ]
    return max((sum(moment) for moment in zip(*rates, strict=False)), default=0.0)
