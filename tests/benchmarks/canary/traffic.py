"""Recorded traffic of the sample app, repeated for the versions of a simulated rollout.

The recording has the requests of each second by duration, the requests of each client, and CPU time
and memory of the workers from their start on: ``python -m benchmarks.traffic`` in sample-app.
"""

import bisect
import functools
import itertools
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi_operator.judge.counts import BOUNDS_SECONDS, Counts

RECORDING = Path(__file__).parent / "traffic.json"
# The seconds between two looks, and so of one piece of the recording.
LOOK_SECONDS = 5
_LEAST_GAUSS = 40


@dataclass(frozen=True)
class Behaviour:
    """How a version differs from the recording.

    Attributes:
        error_share: The share of its requests that fail.
        tail_factor: How many times as long its slowest 5 % take, and so its p99.
        speed_index: By how many steps of 10 % all requests take longer: its node is another one.
        cpu_factor: CPU per request, relative to the recording.
        leak_bytes_per_second: Growth of a pod's memory.
    """

    error_share: float = 0.001
    tail_factor: float = 1.0
    speed_index: int = 0
    cpu_factor: float = 1.0
    leak_bytes_per_second: float = 0.0


@functools.cache
def recording() -> dict[str, Any]:
    """Returns the recording."""
    found: dict[str, Any] = json.loads(RECORDING.read_text())
    return found


@functools.cache
def pieces() -> Sequence[dict[int, int]]:
    """Returns the requests of each piece of the recording, by the index of their duration."""
    seconds = recording()["seconds"]
    found = []
    for begin in range(0, len(seconds) - LOOK_SECONDS + 1, LOOK_SECONDS):
        counted: dict[int, int] = {}
        for index, requests in itertools.chain(*seconds[begin : begin + LOOK_SECONDS]):
            counted[index] = counted.get(index, 0) + requests
        found.append(counted)
    return found


@functools.cache
def busyness() -> Sequence[float]:
    """Returns the requests of each piece, relative to their mean."""
    sums = [sum(piece.values()) for piece in pieces()]
    return [requests * len(sums) / sum(sums) for requests in sums]


@functools.cache
def shapes(tail_factor: float, speed_index: int) -> Sequence[Sequence[float]]:
    """Returns for each piece the shares of requests in each bucket of the judge."""
    bounds, total = recording()["bounds"], sum(sum(piece.values()) for piece in pieces())
    ranks = itertools.accumulate(
        sum(piece.get(index, 0) for piece in pieces()) for index in range(len(bounds) + 1)
    )
    tail = next(index for index, rank in enumerate(ranks) if rank >= 0.95 * total)
    shape = []
    for piece in pieces():
        buckets = [0.0] * (len(BOUNDS_SECONDS) + 1)
        for index, requests in piece.items():
            # The middle of the recording's bucket.
            seconds = bounds[min(index, len(bounds) - 1)] * 1.1 ** (speed_index - 0.5)
            seconds *= tail_factor if index > tail else 1.0
            buckets[bisect.bisect_left(BOUNDS_SECONDS, seconds)] += requests / sum(piece.values())
        shape.append(buckets)
    return shape


def cpu_per_request() -> Sequence[float]:
    """Returns CPU seconds for a request, of windows of the recording without their first."""
    return _cpu_per_request()


@functools.cache
def _cpu_per_request() -> Sequence[float]:
    usage, found = recording()["usage"], []
    requests = [sum(piece.values()) for piece in pieces()]
    for begin in range(6, min(len(usage["values"]) - 4, len(requests) - 3), 3):
        used = usage["values"][begin + 3][0] - usage["values"][begin][0]
        found.append(used / sum(requests[begin : begin + 3]))
    return found


def memory_bytes(age_seconds: float) -> float:
    """Returns the memory of a worker of that age; after the recording it stays as it is."""
    usage = recording()["usage"]
    values: Sequence[Sequence[float]] = usage["values"]
    at = min(int(age_seconds / usage["interval"]), len(values) - 1)
    return values[at][1] / usage["workers"]


class Clients:
    """The clients of one rollout: their shares of requests and errors.

    Each is assigned to a version by its place, as by a hash, and stays with the canary when the
    share grows.
    """

    def __init__(self, draws: random.Random, number: int) -> None:
        weights: Sequence[int] = recording()["clients"]
        chosen = [draws.choice(weights) for _ in range(number)]
        self._places = [draws.random() for _ in range(number)]
        # Requests of some clients fail more often.
        prone = [draws.lognormvariate(0, 1) for _ in range(number)]
        total = sum(chosen)
        self._weights = [weight / total for weight in chosen]
        failing = sum(weight * factor for weight, factor in zip(self._weights, prone, strict=True))
        self._prone = [factor / failing for factor in prone]

    def of_canary(self, share: float) -> tuple[float, float]:
        """Returns the canary's share of all requests, and of all errors."""
        requests = errors = 0.0
        for place, weight, prone in zip(self._places, self._weights, self._prone, strict=True):
            if place < share:
                requests += weight
                errors += weight * prone
        return requests, errors


def counts(
    draws: random.Random, *, requests: float, errors: float, shape: Sequence[float]
) -> Counts:
    """Draws the counts of a version for a piece.

    Args:
        draws: The source of randomness.
        requests: Expected requests.
        errors: Expected errors.
        shape: The share of requests in each bucket.
    """
    buckets = [poisson(draws, requests * share) if share else 0 for share in shape]
    slower = [*itertools.accumulate(reversed(buckets))]
    total = slower.pop()
    return Counts(
        requests=total,
        errors=min(total, _grouped(draws, errors)),
        slower=tuple(reversed(slower)),
    )


def _grouped(draws: random.Random, expected: float) -> int:
    """Draws errors: three of ten failing requests are repeated once or twice."""
    groups = poisson(draws, expected / 1.4)
    return sum(draws.choices((1, 2, 3), (7, 2, 1), k=groups)) if groups else 0


def poisson(draws: random.Random, mean: float) -> int:
    """Draws from a Poisson distribution; a large mean is approximated."""
    if mean <= 0:
        return 0
    if mean > _LEAST_GAUSS:
        return max(0, round(draws.gauss(mean, math.sqrt(mean))))
    return bisect.bisect_left(_cumulated(round(mean, 2)), draws.random())


@functools.cache
def _cumulated(mean: float) -> Sequence[float]:
    found, share = [], math.exp(-mean)
    for number in itertools.count(1):
        found.append(share + (found[-1] if found else 0.0))
        if found[-1] > 1 - 1e-9 or number > 20 * _LEAST_GAUSS:
            return found
        share *= mean / number
    raise AssertionError("count() does not end")
