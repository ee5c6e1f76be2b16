"""The rolling summary of a service: its last week by hour, the last day in detail.

Summaries of the same service can be added in any order and grouping, so that it does not matter
how often one is stored, and by which process.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

from fastapi_operator.observation import reading
from fastapi_operator.observation.reading import BOUNDS_SECONDS, Reading

HOUR_SECONDS = 3600
DETAILED_HOURS = 24
KEPT_HOURS = 7 * 24
# Between readings that are further apart, one was missed: the busiest moment is then not known.
GAP_SECONDS_MAX = 900.0
_NOTHING = (0.0,) * len(BOUNDS_SECONDS)


@dataclass(frozen=True, slots=True)
class Hour:
    """The work of one pod at a time within an hour.

    Sums:
        seconds: The observed time.
        requests: Completed requests.
        cpu_seconds: CPU time of the workers.
        cpu_wait_seconds: Time for which runnable workers waited for a CPU, also if throttled.
        shed: Requests that were rejected with 503.
        hold_seconds: Time for which database connections were held.
        wait_seconds: Time for which checkouts waited for one.
        checkouts: Checkouts.
        thread_seconds: Threads in use, by time.
        waiting_seconds: Calls that waited for a thread, by time.
        worker_seconds: Running workers, by time.
        growth_kibibytes: Growth of the resident memory of a worker.
        durations: Requests that took at most each bound, and more than the one before.

    Maxima:
        peak_rate: Requests per second of all pods.
        peak_cores: Cores that a worker used.
        peak_in_flight: Requests in flight of a worker.
        peak_pool_share: Share of the database connections in use.
        resident_kibibytes: Resident memory of a worker.
        age_seconds: Age of the pod.
        served: Requests of a worker since the pod started.
        start_seconds: Time from the start of a pod until it was ready.
    """

    seconds: float = 0.0
    requests: float = 0.0
    cpu_seconds: float = 0.0
    cpu_wait_seconds: float = 0.0
    shed: float = 0.0
    hold_seconds: float = 0.0
    wait_seconds: float = 0.0
    checkouts: float = 0.0
    thread_seconds: float = 0.0
    waiting_seconds: float = 0.0
    worker_seconds: float = 0.0
    growth_kibibytes: float = 0.0
    peak_rate: float = 0.0
    peak_cores: float = 0.0
    peak_in_flight: float = 0.0
    peak_pool_share: float = 0.0
    resident_kibibytes: float = 0.0
    age_seconds: float = 0.0
    served: float = 0.0
    start_seconds: float = 0.0
    durations: tuple[float, ...] = _NOTHING

    def __add__(self, other: "Hour") -> "Hour":
        """Merges two observations of the same hour."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in SUMS}
        peaks = {name: max(getattr(self, name), getattr(other, name)) for name in PEAKS}
        pairs = zip(self.durations, other.durations, strict=True)
        return Hour(**sums, **peaks, durations=tuple(one + two for one, two in pairs))

    def digest(self) -> "Hour":
        """Returns the digest of an hour that is older than a day."""
        return Hour(**{name: getattr(self, name) for name in DIGEST})


_NUMBERS = tuple(item.name for item in fields(Hour) if item.name != "durations")
PEAKS = _NUMBERS[_NUMBERS.index("peak_rate") :]
SUMS = _NUMBERS[: _NUMBERS.index("peak_rate")]
# Of these, the largest of a week counts.
DIGEST = (
    "seconds",
    "requests",
    "peak_rate",
    "peak_cores",
    "peak_in_flight",
    "resident_kibibytes",
)


@dataclass(frozen=True)
class Hours:
    """A summary: hours by their number since 1970."""

    by_number: Mapping[int, Hour] = field(default_factory=dict)

    def __add__(self, other: "Hours") -> "Hours":
        """Merges two summaries of the same service."""
        merged = dict(self.by_number)
        for number, hour in other.by_number.items():
            merged[number] = merged[number] + hour if number in merged else hour
        return Hours(_limited(merged))

    def __bool__(self) -> bool:
        """Whether anything was observed."""
        return bool(self.by_number)

    def until(self, now: float) -> "Hours":
        """Returns it without hours of the future, which a clock that was wrong may leave."""
        last = int(now // HOUR_SECONDS)
        kept = {number: hour for number, hour in self.by_number.items() if number <= last}
        return self if len(kept) == len(self.by_number) else Hours(_limited(kept))

    @property
    def day(self) -> Hour:
        """All of the last day, in detail."""
        newest = max(self.by_number, default=0)
        return sum(
            (hour for number, hour in self.by_number.items() if number > newest - DETAILED_HOURS),
            Hour(),
        )

    @property
    def week(self) -> Hour:
        """The digest of the last week."""
        return sum((hour.digest() for hour in self.by_number.values()), Hour())

    @property
    def span_seconds(self) -> float:
        """The length of the observation: with its gaps if they are few, else without."""
        if not self.by_number:
            return 0.0
        span = (max(self.by_number) - min(self.by_number) + 1) * HOUR_SECONDS
        seconds = self.week.seconds
        return float(span) if seconds >= _COVERED * span else seconds


# Pods that are replaced, and a restart of the operator, leave small gaps.
_COVERED = 0.8
NOTHING = Hours()


def _limited(hours: Mapping[int, Hour]) -> dict[int, Hour]:
    return dict(_limits(hours, max(hours, default=0)))


def _limits(hours: Mapping[int, Hour], newest: int) -> Iterator[tuple[int, Hour]]:
    for number in sorted(hours):
        if number > newest - DETAILED_HOURS:
            yield number, hours[number]
        elif number > newest - KEPT_HOURS:
            yield number, hours[number].digest()


def between(before: Reading, after: Reading, *, pods: int, pace: int = 1) -> Hours | None:
    """Returns the differences between two readings of a pod.

    Args:
        before: The first reading.
        after: The second one.
        pods: The pods of the service, which have the same load each.
        pace: How many times faster the periods of measurements pass; rates are of real seconds.

    Returns:
        The summary; None if the readings are of different pods or processes, or if one is missing
        between them.
    """
    seconds = after.at - before.at
    one, two = before.source, after.source
    if (one.pod, one.restarts) != (two.pod, two.restarts) or not 0 < seconds <= GAP_SECONDS_MAX:
        return None
    gained = {name: after.get(name) - before.get(name) for name in reading.COUNTERS}
    below = [new - old for old, new in zip(before.buckets, after.buckets, strict=True)]
    # A counter that decreases began again, so its process is another one.
    if min((*gained.values(), *below)) < 0:
        return None
    workers, size = after.workers, after.get(reading.POOL_SIZE)
    resident, old_resident = (
        item.get(reading.RESIDENT) / item.workers / 1024 for item in (after, before)
    )
    hour = Hour(
        seconds=seconds * pace,
        requests=gained[reading.REQUESTS],
        cpu_seconds=gained[reading.CPU],
        cpu_wait_seconds=gained[reading.CPU_WAIT],
        shed=gained[reading.SHED],
        hold_seconds=gained[reading.HOLD],
        wait_seconds=gained[reading.WAIT],
        checkouts=gained[reading.CHECKOUTS],
        thread_seconds=_mean(before, after, reading.THREADS) * seconds,
        # Of the observed time; all other sums are of requests, or of each other.
        waiting_seconds=_mean(before, after, reading.THREADS_WAITING) * seconds * pace,
        worker_seconds=workers * seconds,
        growth_kibibytes=resident - old_resident if workers == before.workers else 0.0,
        peak_rate=gained[reading.REQUESTS] / seconds * pods,
        peak_cores=gained[reading.CPU] / seconds / workers,
        peak_in_flight=after.get(reading.IN_FLIGHT) / workers,
        peak_pool_share=min(1.0, after.get(reading.POOL_USED) / size) if size else 0.0,
        resident_kibibytes=resident,
        age_seconds=max(0.0, after.at - two.started_at) * pace,
        served=after.get(reading.REQUESTS) / workers,
        start_seconds=two.start_seconds or 0.0,
        durations=tuple(
            max(0.0, upper - lower) for lower, upper in zip((0.0, *below), below, strict=False)
        ),
    )
    return Hours({int(after.at * pace // HOUR_SECONDS): hour})


def _mean(before: Reading, after: Reading, name: str) -> float:
    return (before.get(name) + after.get(name)) / 2
