"""Sequential tests: their error over all looks, and the direction of their evidence."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.judge.sequential import (
    ALTERNATIVES,
    Comparison,
    above,
    costs,
    error_bound,
    log_mean_exp,
    mostly,
)

NUMBERS = st.integers(0, 10**6)
COUNTS = st.integers(1, 10**6)


def compared(
    events: int, stable_events: int, requests: int, stable_requests: int, margin: float = 1.0
) -> Comparison:
    return Comparison().add(
        events=events,
        stable_events=stable_events,
        costs=costs(requests=requests, stable_requests=stable_requests, margin=margin),
    )


def test_no_events_are_no_evidence() -> None:
    assert Comparison().evidence == 0
    assert compared(0, 0, 500, 9500).evidence == 0


@pytest.mark.parametrize(("requests", "stable_requests"), [(0, 100), (100, 0), (0, 0)])
def test_a_version_without_requests_is_not_compared(requests: int, stable_requests: int) -> None:
    assert compared(5, 5, requests, stable_requests).evidence == 0


def test_the_evidence_of_one_look_is_the_mean_of_likelihood_ratios() -> None:
    # One event, of the canary, which has half of all requests: each alternative's odds to one.
    ratios = [(times / (1 + times)) / (1 / 2) for times in ALTERNATIVES]
    mean = sum(math.sqrt(ratio) for ratio in ratios) / len(ratios)
    assert compared(1, 0, 100, 100).evidence == pytest.approx(math.log(mean))


@given(NUMBERS, NUMBERS, COUNTS, COUNTS, st.sampled_from([1.0, 1.25, 1.5]))
def test_more_events_of_the_canary_are_more_evidence(
    events: int, stable_events: int, requests: int, stable_requests: int, margin: float
) -> None:
    less = compared(events, stable_events + 1, requests, stable_requests, margin).evidence
    more = compared(events + 1, stable_events, requests, stable_requests, margin).evidence
    assert math.isfinite(less)
    assert more > less


@given(NUMBERS, NUMBERS, COUNTS, COUNTS)
def test_a_larger_margin_is_less_evidence(
    events: int, stable_events: int, requests: int, stable_requests: int
) -> None:
    strict = compared(events + 1, stable_events, requests, stable_requests, 1.0).evidence
    lenient = compared(events + 1, stable_events, requests, stable_requests, 2.0).evidence
    assert lenient <= strict + 1e-6


@given(NUMBERS, COUNTS, COUNTS)
def test_a_canary_that_has_fewer_events_is_not_evidence(
    stable_events: int, requests: int, stable_requests: int
) -> None:
    """One-sided: however much better the canary is, it is not evidence that it is worse."""
    assert compared(0, stable_events, requests, stable_requests).evidence <= 0


def test_looks_with_other_shares_and_rates_do_not_confound() -> None:
    """Errors rise while the canary's share does: look by look, the canary is not worse."""
    quiet, outage = (5, 95, 1000, 19_000), (2500, 2500, 5000, 5000)
    together = compared(*(a + b for a, b in zip(quiet, outage, strict=True)))
    assert together.evidence > math.log(10**6)
    found = Comparison()
    for events, stable_events, requests, stable_requests in (quiet, outage):
        found = found.add(
            events=events // 2,
            stable_events=stable_events // 2,
            costs=costs(requests=requests, stable_requests=stable_requests, margin=1.0),
        )
    assert found.evidence < 0


def largest_evidence(draws: random.Random, *, looks: int, share: float, group: int) -> float:
    """The most evidence at any look between two versions that are the same."""
    found, largest = Comparison(), 0.0
    for _ in range(looks):
        rate = draws.choice((0.001, 0.01, 0.2))
        own = sum(draws.random() < rate for _ in range(round(40 * share)))
        other = sum(draws.random() < rate for _ in range(round(40 * (1 - share))))
        found = found.add(
            events=group * own,
            stable_events=group * other,
            costs=costs(
                requests=round(40 * share), stable_requests=round(40 * (1 - share)), margin=1.0
            ),
        )
        largest = max(largest, found.evidence)
    return largest


def wrong_runs(*, share: float, group: int) -> int:
    """Of 1,000 runs of 40 looks, those that reject at an error of 20 %."""
    draws = random.Random(24)
    return sum(
        largest_evidence(draws, looks=40, share=share, group=group) >= -math.log(0.2)
        for _ in range(1000)
    )


@pytest.mark.parametrize(("share", "group"), [(0.5, 1), (0.25, 1), (0.25, 2)])
def test_the_error_over_all_looks_is_bounded(share: float, group: int) -> None:
    """Also if each event comes twice, as when a client repeats its request."""
    assert 0 < wrong_runs(share=share, group=group) <= 200


def test_events_in_large_groups_exceed_the_bound() -> None:
    """The limit of the assumption, and the proof that the test above can fail."""
    assert wrong_runs(share=0.25, group=10) > 200


def test_versions_that_are_the_same_are_symmetric() -> None:
    draws = random.Random(7)
    differences = []
    for _ in range(300):
        own, other = (sum(draws.random() < 0.05 for _ in range(200)) for _ in range(2))
        differences.append(
            compared(own, other, 200, 200).evidence - compared(other, own, 200, 200).evidence
        )
    mean = sum(differences) / len(differences)
    spread = math.sqrt(sum(value**2 for value in differences) / len(differences))
    assert abs(mean) <= 3 * spread / math.sqrt(len(differences))


@given(NUMBERS, NUMBERS, COUNTS, COUNTS)
def test_a_comparison_is_restored_from_its_dump(
    events: int, stable_events: int, requests: int, stable_requests: int
) -> None:
    found = compared(events, stable_events, requests, stable_requests)
    restored = Comparison.parse(found.dump())
    assert restored.evidence == pytest.approx(found.evidence, abs=1e-3)


@given(st.floats(0, 1), st.data())
def test_a_share_within_its_bound_is_not_evidence(bound: float, data: st.DataObject) -> None:
    requests = data.draw(COUNTS)
    events = data.draw(st.integers(0, math.floor(bound * requests)))
    assert above(bound, events=events, requests=requests) <= 1e-9


def test_a_share_above_its_bound_is_found_soon() -> None:
    assert above(0.01, events=20, requests=1000) < math.log(100)
    assert above(0.01, events=40, requests=1000) > math.log(100)
    assert above(0.0, events=5, requests=1000) > math.log(100)
    assert above(1.0, events=1000, requests=1000) == 0
    assert above(0.01, events=0, requests=0) == 0


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_signs_of_equal_number_are_no_evidence(wins: int, losses: int) -> None:
    assert mostly(wins + 1, losses) > mostly(wins, losses)
    assert mostly(min(wins, losses), losses) <= 0


def test_ten_windows_in_a_row_are_evidence_of_one_in_a_hundred() -> None:
    assert mostly(7, 0) < math.log(100) < mostly(10, 0)


def test_the_error_bound_is_a_probability() -> None:
    assert error_bound(-5.0) == 1.0
    assert error_bound(math.log(1000)) == pytest.approx(0.001)
    assert log_mean_exp([1000.0, 1000.0]) == pytest.approx(1000.0)
