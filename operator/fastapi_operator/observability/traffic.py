"""What ``spec.traffic`` asks for, as it was measured."""

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
        requests: How many there were.
        fields: The fields of ``spec.traffic`` with their values; what was not seen is absent.
    """

    seconds: float
    requests: float
    fields: Mapping[str, int]


def measure(pods: Iterable[Window]) -> Measured:
    """The figures of the app's pods, read at the same moments.

    Raises:
        ValueError: No request was answered: nothing can be said.
    """
    windows = tuple(pods)
    durations = _sum(windows, REQUESTS)
    if not durations.count:
        raise ValueError("no request was answered")
    seconds = max(window.seconds for window in windows)
    threads = sum(window.mean("fastapi_worker_threads_used") * window.seconds for window in windows)
    found = {
        "peakRequestsPerSecond": _peak(windows),
        "p95Milliseconds": 1000 * durations.quantile(0.95),
        "cpuMillisecondsPerRequest": 1000
        * sum(window.increase("fastapi_worker_cpu_seconds_total") for window in windows)
        / durations.count,
        # Little's law: threads at work are calls each second times their length.
        "blockingMillisecondsPerRequest": 1000 * threads / durations.count,
        "databaseMillisecondsPerRequest": 1000 * _sum(windows, _HOLDS).total / durations.count,
    }
    fields = {name: math.ceil(value) for name, value in found.items() if value > 0}
    return Measured(seconds, durations.count, fields)


def _sum(windows: Iterable[Window], name: str) -> Histogram:
    return sum((window.histogram(name) for window in windows), NOTHING)


def _peak(windows: Iterable[Window]) -> float:
    """Requests each second in the busiest step of the window."""
    rates = [
        [gained * len(steps) / window.seconds for gained in steps]
        for window in windows
        for steps in (window.steps(f"{REQUESTS}_count"),)
    ]
    return max((sum(moment) for moment in zip(*rates, strict=False)), default=0.0)
