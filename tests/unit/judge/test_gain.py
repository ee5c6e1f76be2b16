"""The gain of a canary: found if it is large, and rarely without one."""

import random

from fastapi_operator.judge.counts import BOUNDS_SECONDS, Counts, Versions
from fastapi_operator.judge.gain import gain_of
from fastapi_operator.judge.ledger import KNOWN_PAIRS, Ledger


def counts(requests: int, mean_seconds: float, chance: random.Random, errors: int = 0) -> Counts:
    durations = [chance.expovariate(1 / mean_seconds) for _ in range(requests)]
    slower = tuple(sum(duration > bound for duration in durations) for bound in BOUNDS_SECONDS)
    return Counts(requests, errors, 0, slower)


def ledger(canary: Counts, stable: Counts) -> Ledger:
    return Ledger("abcd1234", 3, step=Versions(stable=stable, canary=canary))


def test_a_canary_that_is_twice_as_fast_has_a_gain() -> None:
    chance = random.Random(1)
    found = ledger(counts(2000, 0.02, chance), counts(2000, 0.04, chance))
    assert gain_of(found).startswith("faster: p95 ")


def test_between_the_bounds_of_an_app_it_must_be_faster_by_more() -> None:
    chance = random.Random(1)
    found = ledger(counts(2000, 0.02, chance), counts(2000, 0.04, chance))
    assert gain_of(found, KNOWN_PAIRS) == ""
    found = ledger(counts(2000, 0.02, chance), counts(2000, 0.15, chance))
    assert gain_of(found, KNOWN_PAIRS).startswith("faster: p95 ")


def test_fewer_errors_are_a_gain() -> None:
    chance = random.Random(2)
    found = ledger(counts(2000, 0.02, chance, errors=2), counts(2000, 0.02, chance, errors=90))
    assert gain_of(found).startswith("fewer errors: ")


def test_without_a_gain_there_is_none_however_often_one_looks() -> None:
    for seed in range(5):
        chance, canary, stable = random.Random(seed), Counts(), Counts()
        for _ in range(20):
            canary += counts(200, 0.03, chance, errors=1)
            stable += counts(200, 0.03, chance, errors=1)
            assert gain_of(ledger(canary, stable)) == ""


def test_a_slower_canary_and_too_few_requests_have_no_gain() -> None:
    chance = random.Random(3)
    assert gain_of(ledger(counts(2000, 0.04, chance), counts(2000, 0.02, chance))) == ""
    assert gain_of(ledger(counts(5, 0.01, chance), counts(5, 0.05, chance))) == ""
    assert gain_of(Ledger.new("abcd1234")) == ""
