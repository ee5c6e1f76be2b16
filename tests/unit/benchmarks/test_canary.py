"""A short form of the simulated canaries, and the composition of their traffic."""

import random

import pytest

from fastapi_operator.judge import verdict
from tests.benchmarks import bars
from tests.benchmarks.canary import traffic
from tests.benchmarks.canary.__main__ import CASES, SECTION, Case, row, text

SHORT = 20


def judged(case: Case) -> str:
    """The verdict on the row of a case."""
    written = bars.with_verdicts(SECTION, text([row(case, case.run(SHORT))]))
    ((table),) = bars.tables(SECTION, written)
    ((_, found),) = table.rows
    return found[bars.VERDICT]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_bar_of_each_case_is_met(case: Case) -> None:
    assert judged(case) == bars.MET


@pytest.mark.parametrize("case", CASES[:1], ids=lambda case: case.name)
def test_a_judge_that_aborts_by_mere_suspicion_misses_the_bar(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "ERROR_OF_TEST", 0.99)
    assert judged(case) == bars.NOT_MET


def test_the_recording_is_long_enough_and_has_a_tail() -> None:
    requests = sum(traffic.recording()["clients"])
    assert requests > 50_000
    shares = [
        sum(column) / len(traffic.pieces()) for column in zip(*traffic.shapes(1.0, 0), strict=True)
    ]
    assert sum(shares) == pytest.approx(1)
    assert sum(share > 0.001 for share in shares) > 15


@pytest.mark.parametrize("mean", [0.05, 3.0, 30.0, 400.0])
def test_counts_have_their_mean_and_spread(mean: float) -> None:
    draws = random.Random(1)
    found = [traffic.poisson(draws, mean) for _ in range(5000)]
    average = sum(found) / len(found)
    variance = sum((value - average) ** 2 for value in found) / len(found)
    assert average == pytest.approx(mean, rel=0.1)
    assert variance == pytest.approx(mean, rel=0.15)


def test_no_client_returns_to_the_old_version_when_the_share_grows() -> None:
    clients = traffic.Clients(random.Random(2), 400)
    shares = [clients.of_canary(percent / 100) for percent in (0, 5, 25, 50, 100)]
    assert shares[0] == (0, 0)
    assert shares == sorted(shares)
    assert shares[-1] == (pytest.approx(1), pytest.approx(1))
