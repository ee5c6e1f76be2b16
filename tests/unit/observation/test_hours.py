"""Summaries: bounded, independent of order and grouping, and continued by another process."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_operator.observation import reading, text
from fastapi_operator.observation.hours import (
    DETAILED_HOURS,
    HOUR_SECONDS,
    KEPT_HOURS,
    NOTHING,
    PEAKS,
    SUMS,
    Hour,
    Hours,
    between,
)
from fastapi_operator.observation.reading import BOUNDS_SECONDS, Reading, Source

NOW = 500_000
# Whole numbers are added exactly, so that the order of additions does not matter.
whole = st.integers(0, 10**6).map(float)


def hour(values: st.SearchStrategy[float]) -> st.SearchStrategy[Hour]:
    numbers = st.fixed_dictionaries(dict.fromkeys((*SUMS, *PEAKS), values))
    durations = st.lists(values, min_size=len(BOUNDS_SECONDS), max_size=len(BOUNDS_SECONDS))
    return st.builds(
        lambda fields, counts: Hour(**fields, durations=tuple(counts)), numbers, durations
    )


def summaries(values: st.SearchStrategy[float] = whole) -> st.SearchStrategy[Hours]:
    numbers = st.integers(NOW - KEPT_HOURS - 5, NOW)
    return st.dictionaries(numbers, hour(values), max_size=4).map(
        lambda found: NOTHING + Hours(found)
    )


@given(summaries(), summaries(), summaries())
@settings(max_examples=20)
def test_the_order_and_the_grouping_of_summaries_do_not_matter(
    one: Hours, two: Hours, three: Hours
) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + NOTHING == one


@given(hour(st.floats(allow_nan=False, allow_infinity=False)), st.data())
@settings(max_examples=15)
def test_the_text_of_a_full_week_is_bounded_for_any_values(one: Hour, data: st.DataObject) -> None:
    full = NOTHING + Hours({NOW - age: one for age in range(KEPT_HOURS + 9)})
    written = text.encode(full)
    assert len(written) <= text.MAX_BYTES
    found = text.decode(written)
    assert found.by_number.keys() == full.by_number.keys()
    assert text.decode(text.encode(found)) == found
    broken = written[: data.draw(st.integers(0, len(written)))]
    text.decode(broken + data.draw(st.text(max_size=20)))


def test_a_text_keeps_three_digits_and_the_last_day_in_detail() -> None:
    one = Hour(seconds=3290.4, requests=1_234_567, shed=7, resident_kibibytes=98_765)
    week = NOTHING + Hours({NOW - age: one for age in range(KEPT_HOURS)})
    found = text.decode(text.encode(week))
    assert found.by_number[NOW].requests == 1_230_000
    assert found.by_number[NOW].shed == 7
    assert found.by_number[NOW - DETAILED_HOURS] == Hour(
        seconds=3290, requests=1_230_000, resident_kibibytes=98_800
    )


@pytest.mark.parametrize(
    "broken",
    ["", "{}", "null", "[]", '{"version":1,"hour":1e999,"hours":[]}', '{"version":1,"hour":5,'
     '"hours":[[0,1]]}', '{"version":2,"hour":5,"hours":[]}', "[" * 100_000],
)  # fmt: skip
def test_a_broken_text_is_an_empty_summary(broken: str) -> None:
    assert text.decode(broken) == NOTHING


def page(at: float, *, pod: str = "shop-1", **values: float) -> Reading:
    counted = {
        reading.REQUESTS: at * 10,
        reading.CPU: at / 4,
        reading.WORKERS: 2.0,
        reading.RESIDENT: 2 * 1024 * (90_000 + at),
    }
    buckets = (0.0, *[at * 10] * (len(BOUNDS_SECONDS) - 1))
    return Reading(Source(pod), at, counted | values, buckets)


def test_an_hour_has_the_sums_and_peaks_between_two_readings() -> None:
    found = between(page(7200), page(7500), pods=3)
    assert found is not None
    (number,), (one,) = found.by_number, found.by_number.values()
    assert number == 2
    assert (one.seconds, one.requests, one.cpu_seconds) == (300, 3000, 75)
    assert (one.peak_rate, one.peak_cores) == (30, 0.125)
    assert (one.resident_kibibytes, one.growth_kibibytes) == (97_500, 300)
    assert one.durations[:3] == (0, 3000, 0)


def test_periods_pass_faster_with_the_pace_and_rates_are_of_real_seconds() -> None:
    real, fast = (between(page(7200), page(7500), pods=3, pace=pace) for pace in (1, 12))
    assert real is not None
    assert fast is not None
    (number,), (one,) = fast.by_number, fast.by_number.values()
    assert (number, one.seconds, one.age_seconds) == (25, 3600, 12 * 7500)
    (other,) = real.by_number.values()
    names = ("peak_rate", "peak_cores", "requests", "worker_seconds", "thread_seconds")
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]


def test_readings_of_different_processes_or_with_a_gap_are_not_compared() -> None:
    first = page(100)
    assert between(first, page(400), pods=1) is not None
    assert between(first, page(400, pod="shop-2"), pods=1) is None
    restarted = replace(page(400), source=Source("shop-1", restarts=1))
    assert between(first, restarted, pods=1) is None
    assert between(first, page(400, **{reading.CPU: 1.0}), pods=1) is None
    assert between(first, page(1100), pods=1) is None
    assert between(first, first, pods=1) is None


@given(st.sets(st.integers(1, 200), max_size=4))
@settings(max_examples=8)
def test_each_restart_of_the_operator_loses_at_most_an_hour(restarts: set[int]) -> None:
    """A write an hour, and a look every five minutes; a restart forgets the unwritten part."""
    stored, pending, before = text.encode(NOTHING), NOTHING, None
    for look in range(204):
        now = NOW * HOUR_SECONDS + 300.0 * look
        if look in restarts:
            pending, before = NOTHING, None
        found = page(now)
        gained = between(before, found, pods=1) if before is not None else None
        pending, before = pending + (gained or NOTHING), found
        if look % 12 == 11:
            stored, pending = text.encode(text.decode(stored) + pending), NOTHING
    seconds = text.decode(stored).week.seconds
    assert seconds >= 0.99 * (203 * 300 - len(restarts) * HOUR_SECONDS)


def test_hours_of_a_wrong_clock_are_dropped() -> None:
    one = Hours({NOW: Hour(seconds=1), NOW + 9000: Hour(seconds=2)})
    assert one.until(NOW * HOUR_SECONDS + 5.0).by_number == {NOW: Hour(seconds=1)}


def test_small_gaps_count_as_observed_and_large_ones_do_not() -> None:
    dense = Hours({NOW - age: Hour(seconds=3300) for age in range(KEPT_HOURS)})
    assert dense.span_seconds == KEPT_HOURS * HOUR_SECONDS
    sparse = Hours({NOW - age: Hour(seconds=1000) for age in range(KEPT_HOURS)})
    assert sparse.span_seconds == KEPT_HOURS * 1000
    assert NOTHING.span_seconds == 0
