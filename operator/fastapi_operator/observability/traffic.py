"""Measures a service: the fields of ``spec.traffic``, and all figures that ``derive`` reads."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fastapi_operator.observability.readings import REQUESTS
from fastapi_operator.observability.samples import NOTHING, Histogram, Window
from fastapi_operator.tuning.measurements import Figure, Figures, Measurements, alias_of

_HOLDS = "db_client_connection_use_time_seconds"
_WAITS = "db_client_connection_wait_time_seconds"
_CPU = "fastapi_worker_cpu_seconds_total"
_SHED = "fastapi_worker_shed_requests_total"


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
    durations = _durations(windows)
    found = {
        # The order is that of the fields of ``spec.traffic``.
        alias_of(name): math.ceil(value)
        for name, value in _of_requests(windows, durations).items()
        if value > 0
    }
    return Measured(_seconds(windows), durations.count, found)


def measurements(pods: Mapping[str, Window], ages: Mapping[str, float]) -> Measurements:
    """Returns all figures of the app's pods, whose windows have the same times.

    Args:
        pods: The windows by the names of the pods.
        ages: For how many seconds the processes of each pod have run; a pod whose age is unknown
            has that of its window.

    Raises:
        ValueError: The app completed no request in the window.
    """
    windows = tuple(pods.values())
    durations, seconds = _durations(windows), _seconds(windows)
    workers = sum(map(_workers, windows))
    shed = sum(window.increase(_SHED) for window in windows)
    waits = _sum(windows, _WAITS)
    found = _of_requests(windows, durations) | {
        "requests_in_flight_per_worker": max(
            window.peak("http_server_active_requests") / _workers(window) for window in windows
        ),
        "cpu_cores_per_worker": _busiest(windows, _CPU) / workers,
    }
    measured = {
        name: Figure(value=value, seconds=seconds, count=int(durations.count))
        for name, value in found.items()
        if value > 0
    }
    memory = max(_resident(window) for window in windows)
    if memory > 0:
        measured["worker_memory_bytes"] = Figure(
            value=memory,
            seconds=max(ages.get(name, window.seconds) for name, window in pods.items()),
            count=int(
                max(window.peak(f"{REQUESTS}_count") / _workers(window) for window in windows)
            ),
        )
    return Measurements(
        busy_share=sum(window.rate(_CPU) for window in windows) / workers,
        shed_share=shed / (shed + durations.count),
        pool_wait_milliseconds=1000 * waits.mean if waits.count else None,
        threads_waiting=sum(window.mean("fastapi_worker_threads_waiting") for window in windows)
        / len(windows),
        figures=Figures(**measured),
    )


def _of_requests(windows: Sequence[Window], durations: Histogram) -> dict[str, float]:
    threads = sum(window.mean("fastapi_worker_threads_used") * window.seconds for window in windows)
    cpu = sum(window.increase(_CPU) for window in windows)
    return {
        "peak_requests_per_second": _busiest(windows, f"{REQUESTS}_count"),
        "p95_milliseconds": 1000 * durations.quantile(0.95),
        "cpu_milliseconds_per_request": 1000 * cpu / durations.count,
        # Little's law: busy threads are calls per second times their duration.
        "blocking_milliseconds_per_request": 1000 * threads / durations.count,
        "database_milliseconds_per_request": 1000 * _sum(windows, _HOLDS).total / durations.count,
    }


def _durations(windows: Sequence[Window]) -> Histogram:
    durations = _sum(windows, REQUESTS)
    if not durations.count:
        raise ValueError("the app completed no request")
    return durations


def _seconds(windows: Sequence[Window]) -> float:
    return max(window.seconds for window in windows)


def _workers(window: Window) -> float:
    return max(1.0, window.mean("fastapi_worker_processes"))


def _resident(window: Window) -> float:
    return window.peak("fastapi_worker_resident_memory_bytes") / _workers(window)


def _sum(windows: Iterable[Window], name: str) -> Histogram:
    return sum((window.histogram(name) for window in windows), NOTHING)


def _busiest(windows: Iterable[Window], counter: str) -> float:
    """The increase of a counter per second, of all pods in the busiest step of the window."""
    rates = [
        [gained * len(steps) / window.seconds for gained in steps]
        for window in windows
        for steps in (window.steps(counter),)
    ]
    return max((sum(moment) for moment in zip(*rates, strict=False)), default=0.0)
