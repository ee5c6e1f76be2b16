"""Ledgers of arbitrary looks: no look is an error, and more errors are never a better verdict."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_operator.judge.counts import BOUNDS_SECONDS, Counts, Version, Versions
from fastapi_operator.judge.ledger import Ledger
from fastapi_operator.judge.pods import MAX_PODS, PodReading
from fastapi_operator.judge.verdict import Action, Limits, judge

NUMBERS = st.integers(0, 10**6)
SHARES = st.none() | st.floats(0, 1)
LIMITS = st.builds(Limits, NUMBERS, SHARES, st.none() | st.floats(0, 100))
SEVERITY = {Action.ADVANCE: 0, Action.WAIT: 1, Action.ABORT: 2}


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    requests = draw(NUMBERS)
    within = st.integers(0, requests)
    slower = sorted(draw(st.lists(within, max_size=4)), reverse=True)
    padded = tuple([*slower, *[0] * len(BOUNDS_SECONDS)][: len(BOUNDS_SECONDS)])
    return Counts(requests, draw(within), draw(within), padded, draw(within))


versions = st.builds(Versions, counts(), counts())
pods = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.builds(
        PodReading,
        version=st.sampled_from(Version),
        age_seconds=st.floats(0, 10**6),
        restarts=st.integers(0, 100),
        cpu_seconds=st.none() | st.floats(0, 10**6),
        requests=st.none() | NUMBERS,
        memory_bytes=st.none() | st.floats(0, 10**10),
        workers=st.floats(0, 64),
    ),
)
proxies = st.dictionaries(
    st.sampled_from(["p", "q"]), st.dictionaries(st.integers(0, 3), versions, max_size=2)
)
looks = st.lists(
    st.tuples(st.integers(0, 3), proxies, pods, st.booleans(), st.none() | st.floats(0, 10**10)),
    max_size=5,
)


@given(looks, LIMITS)
def test_any_sequence_of_looks_has_a_verdict_and_is_restored_from_its_dump(
    sequence: list[tuple[int, dict, dict, bool, float | None]], limits: Limits
) -> None:
    ledger = Ledger.new("3f9a01bc")
    for number, (step, read, of_pods, warming, memory) in enumerate(sequence):
        ledger = ledger.record(
            at=20.0 * number,
            step=step,
            proxies=read,
            pods=of_pods,
            warming=warming,
            memory_limit_bytes=memory,
        )
        verdict = judge(ledger, limits)
        assert verdict.evidence and all(verdict.evidence)
        assert 0 <= verdict.error_bound <= 1
        stored = json.loads(json.dumps(ledger.dump()))
        assert Ledger.parse(stored).dump() == ledger.dump()


@given(counts(), counts(), LIMITS)
def test_one_more_error_of_the_canary_is_never_a_better_verdict(
    stable: Counts, canary: Counts, limits: Limits
) -> None:
    def severity(of: Counts) -> int:
        reading = {"p": {1: Versions(stable, of)}}
        ledger = Ledger.new("3f9a01bc").record(at=0, step=1, proxies=reading, pods={})
        return SEVERITY[judge(ledger, limits).action]

    if canary.errors < canary.requests:
        assert severity(replace(canary, errors=canary.errors + 1)) >= severity(canary)


def test_the_ledger_with_all_pods_that_are_read_is_small() -> None:
    ledger = Ledger.new("3f9a01bc")
    for number in range(30):
        of_pods = {
            f"shop-{version}-7d9c5bcf9d-{index:05}": PodReading(
                version, 1e6 + 15 * number, 3, 123456.78 + number, 10**8 + number, 2.5e8, 4
            )
            for version in Version
            for index in range(MAX_PODS)
        }
        ledger = ledger.record(at=15.0 * number, step=1, proxies={}, pods=of_pods)
    assert len(json.dumps(ledger.dump()["pods"], separators=(",", ":"))) < 3000


@pytest.mark.parametrize(
    "change",
    [
        {"canary": None},
        {"slow": [[0, 0.0]]},
        {"slow": [[0, 0.0, 0.0, 0.0, 0.0, None]] * (len(BOUNDS_SECONDS) - 1)},
        {"total": {"stable": [1] * 99, "canary": []}},
        {"total": {"stable": ["many"], "canary": []}},
        {"proxies": ["shop-proxy-1"]},
        {"pods": {"began": 0}},
        {"errors": "none"},
    ],
)
def test_a_ledger_of_another_form_is_an_error(change: dict[str, Any]) -> None:
    """Another version of the operator wrote it, or a person."""
    stored = json.loads(json.dumps(Ledger.new("3f9a01bc").dump()))
    Ledger.parse(stored)
    with pytest.raises(ValueError):
        Ledger.parse(stored | change)


def _served(version: Version, requests: int, slower_than: float = 0.0) -> Versions:
    slower = tuple(requests if bound < slower_than else 0 for bound in BOUNDS_SECONDS)
    counts = Counts(requests=requests, slower=slower)
    return Versions(canary=counts) if version is Version.CANARY else Versions(stable=counts)


def test_pods_of_the_app_count_from_the_first_look_at_them() -> None:
    looks = (
        (0, {"old": 10**6, "new": 3}, (0, 0)),
        (0, {"old": 10**6 + 50, "new": 4}, (0, 0)),
        (1, {"old": 10**6 + 150, "new": 9}, (100, 5)),
        # One that could not be read, and one that began again.
        (1, {"new": 2}, (100, 7)),
        (2, {"old": 10**6 + 170, "new": 5, "another": 10**5}, (120, 10)),
    )
    ledger = Ledger.new("3f9a01bc")
    for at, (step, totals, expected) in enumerate(looks):
        apps = {
            name: _served(Version.CANARY if name == "new" else Version.STABLE, number)
            for name, number in totals.items()
        }
        ledger = Ledger.parse(json.loads(json.dumps(ledger.dump())))
        ledger = ledger.record(at=5.0 * at, step=step, pods={}, apps=apps)
        assert (ledger.total.stable.requests, ledger.total.canary.requests) == expected


@pytest.mark.parametrize(
    ("stable", "canary", "action"),
    [
        # Its histogram has no bound between these, so nothing is known.
        (0.03, 0.049, Action.ADVANCE),
        (0.03, 0.06, Action.ADVANCE),
        (0.02, 0.06, Action.ABORT),
    ],
)
def test_between_two_bounds_of_the_app_no_request_is_taken_for_slower(
    stable: float, canary: float, action: Action
) -> None:
    ledger = Ledger.new("3f9a01bc")
    for number in range(20):
        apps = {
            "old": _served(Version.STABLE, 100 * number, stable),
            "new": _served(Version.CANARY, 100 * number, canary),
        }
        ledger = ledger.record(at=5.0 * number, step=1, pods={}, apps=apps)
    assert judge(ledger, Limits(min_requests=10)).action is action
