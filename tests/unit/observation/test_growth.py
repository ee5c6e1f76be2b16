"""A leak is found before it fills the memory; a collector, a warm-up and noise are not leaks."""

import math
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_operator.observation.growth import (
    FULL,
    SAMPLES_MAX,
    Growth,
    Sample,
    added,
    growth,
    is_full,
)

MIB = 2**20
LIMIT = 256 * MIB
Series = Callable[[float], float]


def watched(
    mebibytes: Series, *, until: float, every: float = 10.0, rate: float = 50.0
) -> Iterator[tuple[float, float, Growth | None]]:
    """Yields time, memory and growth at each reading of a pod."""
    samples: tuple[Sample, ...] = ()
    for number in range(int(until / every) + 1):
        at = number * every
        memory = mebibytes(at) * MIB
        samples = added(samples, Sample(at, memory, rate * at))
        assert len(samples) <= SAMPLES_MAX
        yield at, memory, growth(samples, LIMIT)


def grows(mebibytes: Series, *, until: float, every: float = 10.0) -> bool:
    return any(found for *_, found in watched(mebibytes, until=until, every=every))


def test_a_leak_of_a_mebibyte_a_second_is_found_within_a_minute() -> None:
    at, memory, found = next(
        item for item in watched(lambda at: 100 + at, until=300) if item[2] is not None
    )
    assert at <= 60
    assert memory <= FULL * LIMIT
    assert found is not None
    assert found.bytes_per_second == pytest.approx(MIB)
    assert found.bytes_per_request == pytest.approx(MIB / 50)


def test_a_leak_of_a_few_mebibytes_an_hour_is_found_when_the_limit_is_an_hour_away() -> None:
    def leak(at: float) -> float:
        return 200 + 4 * at / 3600

    found = [item for item in watched(leak, until=10 * 3600, every=20) if item[2] is not None]
    _, memory, first = found[0]
    left = (FULL * LIMIT - memory) / MIB / 4
    assert 0.5 < left <= 1
    assert first is not None
    assert first.bytes_per_second * 3600 == pytest.approx(4 * MIB, rel=0.05)
    assert all(item[2] for item in found), "a leak stays one"


def test_a_leak_of_a_mebibyte_an_hour_does_not_end_within_the_hour() -> None:
    assert not grows(lambda at: 100 + at / 3600, until=12 * 3600, every=60)


@pytest.mark.parametrize("period", [7, 30, 95, 290, 900, 2_400])
def test_a_collector_that_returned_the_memory_once_is_not_a_leak(period: float) -> None:
    def collected(at: float) -> float:
        return 120 + 40 * (at % period) / period

    found = [at for at, _, leak in watched(collected, until=2 * 3600) if leak]
    assert all(at <= period for at in found)


def test_a_leak_below_a_collector_is_found() -> None:
    def leak(at: float) -> float:
        return 120 + 20 * (at % 30) / 30 + at * 5 / 60

    _, memory, _ = next(item for item in watched(leak, until=3600, every=5) if item[2])
    assert memory < FULL * LIMIT


@pytest.mark.parametrize("seconds", [10, 45, 120, 600, 3_000])
def test_a_warm_up_is_not_a_leak_as_soon_as_it_slows_down(seconds: float) -> None:
    def warm_up(at: float) -> float:
        return 80 + 80 * (1 - math.exp(-at / seconds))

    found = [at for at, _, leak in watched(warm_up, until=2 * 3600) if leak]
    assert all(at <= seconds for at in found)


@given(
    level=st.floats(40, 200),
    noise=st.floats(0, 0.1),
    every=st.sampled_from([5.0, 20.0]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25)
def test_noise_is_not_a_leak(level: float, noise: float, every: float, seed: int) -> None:
    chance = random.Random(seed)
    room = FULL * LIMIT / MIB - level

    def steady(_: float) -> float:
        return level + noise * room * chance.random()

    assert not grows(steady, until=1800, every=every)


@given(
    rate=st.floats(0.02, 1.0),
    level=st.floats(60, 120),
    noise=st.floats(0, 2),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25)
def test_each_leak_is_found_before_the_memory_is_full(
    rate: float, level: float, noise: float, seed: int
) -> None:
    chance = random.Random(seed)
    until = (LIMIT / MIB - level) / rate

    def leak(at: float) -> float:
        return level + rate * at + noise * chance.random()

    assert any(
        found and memory < FULL * LIMIT
        for _, memory, found in watched(leak, until=until, every=5.0)
    )


def test_a_new_process_has_no_history() -> None:
    samples: tuple[Sample, ...] = ()
    for at in range(0, 60, 5):
        samples = added(samples, Sample(at, (100 + at) * MIB, 1000 + at))
    assert len(added(samples, Sample(60, 90 * MIB, 3))) == 1


def test_a_full_pod_needs_no_trend_but_two_readings() -> None:
    full = Sample(10, 0.95 * LIMIT)
    assert not is_full((full,), LIMIT)
    assert not is_full((Sample(0, 0.5 * LIMIT), full), LIMIT)
    assert is_full((Sample(0, 0.91 * LIMIT), full), LIMIT)
