"""Counts of a version: increments, quantiles, and their form in a ConfigMap."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.judge.counts import BOUNDS_SECONDS, Counts, Versions


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    requests = draw(st.integers(0, 10**7))
    slower = sorted(
        draw(st.lists(st.integers(0, requests), max_size=len(BOUNDS_SECONDS))), reverse=True
    )
    return Counts(
        requests,
        draw(st.integers(0, requests)),
        draw(st.integers(0, requests)),
        tuple([*slower, *[0] * len(BOUNDS_SECONDS)][: len(BOUNDS_SECONDS)]),
    )


def of_durations(*seconds: float) -> Counts:
    slower = tuple(sum(value > bound for value in seconds) for bound in BOUNDS_SECONDS)
    return Counts(requests=len(seconds), slower=slower)


def test_a_bound_is_about_a_quarter_above_the_one_before() -> None:
    ratios = [after / before for before, after in itertools.pairwise(BOUNDS_SECONDS)]
    assert all(1.2 < ratio < 1.3 for ratio in ratios)


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    found = of_durations(*[0.001] * 90, *[0.028] * 10)
    assert found.quantile(0.5) == pytest.approx(0.004 * 50 / 90)
    assert found.quantile(0.95) == pytest.approx(0.0285)
    assert of_durations(30.0).quantile(0.95) == 5.0
    assert Counts().quantile(0.95) is None


@given(counts(), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_are_ordered(found: Counts, one: float, other: float) -> None:
    low, high = (found.quantile(share) for share in sorted((one, other)))
    if low is None or high is None:
        assert found.requests == 0
    else:
        assert 0 <= low <= high <= BOUNDS_SECONDS[-1]


@given(counts(), counts())
def test_what_was_added_is_the_increment(before: Counts, gained: Counts) -> None:
    assert (before + gained).since(before) == gained


@given(counts())
def test_counters_that_decreased_started_again_at_zero(found: Counts) -> None:
    more = found + Counts(requests=1)
    assert found.since(more) == found
    assert Counts().since(more) == Counts()


def test_a_page_that_was_written_during_a_request_is_not_a_restart() -> None:
    before = Counts(10, 2, 1, (5, *[0] * (len(BOUNDS_SECONDS) - 1)))
    found = Counts(11, 1, 0, (4, 1, *[0] * (len(BOUNDS_SECONDS) - 2))).since(before)
    assert (found.requests, found.errors, found.fallbacks, found.slower[:2]) == (1, 0, 0, (0, 1))


@given(counts(), counts())
def test_counts_are_restored_from_their_dump(stable: Counts, canary: Counts) -> None:
    assert Versions.parse(Versions(stable, canary).dump()) == Versions(stable, canary)


def test_the_dump_of_few_requests_is_small() -> None:
    assert Counts().dump() == []
    assert of_durations(0.006).dump() == [1, 0, 0, 0, 0, 0, 1]
    assert Counts().error_share == 0
