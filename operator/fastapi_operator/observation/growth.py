"""The memory of a pod over time, and whether it grows to its limit: pure.

A garbage collector makes memory rise and fall, and a warm-up makes it rise and level off. So a
growth counts if the low points of all quarters of a period rise, the last step about as fast as
the first, to more than the process ever had, and only for four times as long as it was seen.
Periods of a minute to eight hours are looked at, so that both a leak of 1 MiB a second and one of
a few MiB an hour are found.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# A growth that does not reach the limit within this time is not acted upon.
HORIZON_SECONDS = 3600.0
PERIODS_SECONDS = (60.0, 300.0, 1200.0, 3600.0, 8 * 3600.0)
# A period is judged if the samples cover this share of it.
COVERED = 0.8
# A trend is believed for so many times the period in which it was seen: judgement.
BELIEVED = 4.0
# The last step is at least this share of the first one: a warm-up slows down (judgement).
STEADY = 2 / 3
# The highest point of the last quarter exceeds all before by this share of the growth: judgement.
MORE = 0.5
QUARTERS = 4
# A pod that is fuller than this may be killed at any peak: as of the alert on memory.
FULL = 0.9
# Older samples are thinned out to this number.
SAMPLES_MAX = 160


class Sample(NamedTuple):
    """One reading of a pod: its memory in bytes, and the requests that it has completed."""

    at: float
    memory_bytes: float
    requests: float = 0.0


@dataclass(frozen=True)
class Growth:
    """A growth that will reach the limit.

    Attributes:
        bytes_per_second: The growth of the low points.
        bytes_per_request: The same for each request in the period; None if there were none.
        period_seconds: The period in which it was seen.
    """

    bytes_per_second: float
    bytes_per_request: float | None
    period_seconds: float

    def seconds_to(self, memory_bytes: float, limit_bytes: float) -> float:
        """Returns the time until memory fills ``FULL`` of a limit."""
        return max(0.0, FULL * limit_bytes - memory_bytes) / self.bytes_per_second


def is_full(samples: Sequence[Sample], limit_bytes: float) -> bool:
    """Whether the newest readings of a pod are near its limit."""
    newest = samples[-2:]
    return len(newest) == 2 and all(item.memory_bytes >= FULL * limit_bytes for item in newest)


def may_grow(samples: Sequence[Sample], limit_bytes: float) -> bool:
    """Whether the last two readings would reach the limit within the hour: it is read sooner."""
    if len(samples) < 2:
        return False
    before, after = samples[-2:]
    rate = (after.memory_bytes - before.memory_bytes) / (after.at - before.at)
    return after.memory_bytes + rate * HORIZON_SECONDS >= FULL * limit_bytes


def growth(samples: Sequence[Sample], limit_bytes: float) -> Growth | None:
    """Returns the growth that reaches a limit first; None if none does within the hour.

    Args:
        samples: The readings of one process, oldest first.
        limit_bytes: The memory limit of the pod.
    """
    found = [
        seen
        for period in PERIODS_SECONDS
        if (seen := _growth_in(samples, period)) is not None
        and seen.seconds_to(highest(samples, period), limit_bytes)
        <= min(HORIZON_SECONDS, BELIEVED * period)
    ]
    return max(found, key=lambda seen: seen.bytes_per_second, default=None)


def highest(samples: Sequence[Sample], period: float) -> float:
    """Returns the most memory in the last quarter of a period."""
    since = samples[-1].at - period / QUARTERS
    return max(item.memory_bytes for item in samples if item.at >= since)


def _growth_in(samples: Sequence[Sample], period: float) -> Growth | None:
    """Returns the growth in the last period; None if memory does not grow all the time."""
    if not samples:
        return None
    quarter = period / QUARTERS
    recent = [item for item in samples if item.at >= samples[-1].at - period]
    seconds = recent[-1].at - recent[0].at
    if seconds < COVERED * period or len(recent) < QUARTERS + 2:
        return None
    quarters = _quarters(recent, seconds)
    if not all(quarters):
        return None
    lows = [min(quarter, key=lambda item: item.memory_bytes) for quarter in quarters]
    pairs = [
        (after.memory_bytes - before.memory_bytes, after.at - before.at)
        for before, after in itertools.pairwise(lows)
    ]
    rates = [gained / passed if passed > 0 else 0.0 for gained, passed in pairs]
    if min(rates) <= 0 or rates[-1] < STEADY * rates[0]:
        return None
    grown = lows[-1].memory_bytes - lows[0].memory_bytes
    rate = grown / (lows[-1].at - lows[0].at)
    before = max(item.memory_bytes for item in samples if item.at < samples[-1].at - quarter)
    if highest(samples, period) < before + MORE * rate * quarter:
        return None
    requests = lows[-1].requests - lows[0].requests
    return Growth(
        bytes_per_second=rate,
        bytes_per_request=grown / requests if requests > 0 else None,
        period_seconds=seconds,
    )


def _quarters(samples: Sequence[Sample], seconds: float) -> list[list[Sample]]:
    """Returns the samples of four parts of the same length."""
    found: list[list[Sample]] = [[] for _ in range(QUARTERS)]
    for item in samples:
        place = int(QUARTERS * (item.at - samples[0].at) / seconds)
        found[min(place, QUARTERS - 1)].append(item)
    return found


def added(samples: Sequence[Sample], sample: Sample) -> tuple[Sample, ...]:
    """Returns the samples with a new one: older ones are thinned out, and the oldest dropped.

    If the counter of requests decreases, the process is another one, with a history of its own.
    """
    if samples and sample.requests < samples[-1].requests:
        return (sample,)
    kept = [*samples, sample]
    kept = [item for item in kept if item.at >= sample.at - PERIODS_SECONDS[-1]]
    if len(kept) > SAMPLES_MAX:
        half = SAMPLES_MAX // 2
        kept = [*_thinned(kept[:-half]), *kept[-half:]]
    return tuple(kept)


def _thinned(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Yields the lowest and the highest one of each four samples."""
    for place in range(0, len(samples), 4):
        four = samples[place : place + 4]
        yield from sorted({find(four, key=lambda item: item.memory_bytes) for find in (min, max)})
