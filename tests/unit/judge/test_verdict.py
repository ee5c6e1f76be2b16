"""Verdicts, each with its sentences."""

import json
from dataclasses import replace
from typing import Any

import pytest

from fastapi_operator.judge.counts import BOUNDS_SECONDS, Counts, Versions
from fastapi_operator.judge.ledger import Ledger
from fastapi_operator.judge.pods import Pods, Signs
from fastapi_operator.judge.verdict import Action, Limits, Verdict, judge, unreadable

LIMITS = Limits(min_requests=500)


def counts(requests: int, errors: int = 0, *, times: float = 1.0, fallbacks: int = 0) -> Counts:
    """The counts of a version with a p95 of 50 ms, or so many times as long."""
    shares = (min(1.0, 0.05 * (times * 0.05 / bound) ** 1.5) for bound in BOUNDS_SECONDS)
    slower = tuple(round(requests * share) for share in shares)
    return Counts(requests, errors, fallbacks, slower)


def seen(stable: Counts, canary: Counts, *, step: int = 1, **options: Any) -> Ledger:
    """The ledger after one look at one proxy."""
    return Ledger.new("3f9a01bc").record(
        at=0.0, step=step, proxies={"proxy": {step: Versions(stable, canary)}}, pods={}, **options
    )


def test_a_canary_that_is_as_good_advances() -> None:
    verdict = judge(seen(counts(9500, 10), counts(500, 1)), LIMITS)
    assert verdict == Verdict(
        Action.ADVANCE,
        (
            "errors 0.2 % of 500 requests, stable 0.11 % of 9500 requests",
            "p95 50 ms, stable 50 ms; p99 142 ms, stable 149 ms",
        ),
    )


def test_too_few_requests_wait() -> None:
    verdict = judge(seen(counts(9500), counts(312)), LIMITS)
    assert verdict.action is Action.WAIT
    assert verdict.evidence == ("312 of 500 requests in step 1",)
    assert verdict.lacks_requests


def test_no_look_at_all_waits() -> None:
    verdict = judge(Ledger.new("3f9a01bc"), LIMITS)
    assert verdict.evidence == ("0 of 500 requests in step 0",)


def test_more_errors_abort_even_before_the_least_requests() -> None:
    verdict = judge(seen(counts(1900, 2), counts(100, 20)), LIMITS)
    assert verdict.action is Action.ABORT
    assert verdict.evidence == ("errors 20 % of 100 requests, stable 0.11 % of 1900 requests",)
    assert verdict.error_bound < 0.00125


def test_four_errors_wait_because_they_may_be_those_of_one_client() -> None:
    verdict = judge(seen(counts(9_995_000, 0), counts(5000, 4)), LIMITS)
    assert verdict.action is Action.WAIT
    assert verdict.evidence[0].startswith("perhaps worse: errors 0.08 % of 5000 requests")
    assert not verdict.lacks_requests
    five = judge(seen(counts(9_995_000, 0), counts(5000, 5)), LIMITS)
    assert five.action is Action.ABORT


def test_a_canary_with_fewer_errors_advances() -> None:
    assert judge(seen(counts(9500, 900), counts(500, 0)), LIMITS).action is Action.ADVANCE


def test_slower_requests_abort() -> None:
    verdict = judge(seen(counts(95_000), counts(5000, times=2.5)), LIMITS)
    assert verdict.action is Action.ABORT
    assert verdict.evidence == ("p95 125 ms, stable 50 ms; p99 372 ms, stable 149 ms",)


def test_requests_that_are_slower_by_a_tenth_are_tolerated() -> None:
    verdict = judge(seen(counts(950_000), counts(50_000, times=1.1)), LIMITS)
    assert verdict.action is Action.ADVANCE


def test_while_pods_warm_up_errors_count_and_durations_do_not() -> None:
    slow = seen(counts(95_000), counts(5000, times=2.5), warming=True)
    assert judge(slow, LIMITS).action is Action.WAIT
    failing = seen(counts(95_000), counts(5000, 1000), warming=True)
    assert judge(failing, LIMITS).action is Action.ABORT


def test_a_share_of_errors_above_its_bound_aborts() -> None:
    ledger = seen(counts(95_000, 900), counts(50_000, 650))
    assert judge(ledger, LIMITS).action is Action.ADVANCE
    verdict = judge(ledger, replace(LIMITS, max_error_share=0.01))
    assert verdict.action is Action.ABORT
    assert verdict.evidence == (
        "errors 1.3 % of 50000 requests, stable 0.95 % of 95000 requests, allowed 1 %",
    )


def test_a_bound_that_the_stable_version_exceeds_too_waits() -> None:
    """An outage of the database is no reason to abort, and none to advance."""
    ledger = seen(counts(95_000, 5000), counts(50_000, 2600))
    verdict = judge(ledger, replace(LIMITS, max_error_share=0.01))
    assert verdict.action is Action.WAIT


def test_a_p95_above_its_bound_aborts() -> None:
    ledger = seen(counts(950_000), counts(500_000, times=1.15))
    assert judge(ledger, LIMITS).action is Action.ADVANCE
    verdict = judge(ledger, replace(LIMITS, max_p95_seconds=0.05))
    assert verdict.action is Action.ABORT
    assert verdict.evidence[0].endswith("allowed p95 50 ms")
    assert judge(ledger, replace(LIMITS, max_p95_seconds=20)).action is Action.ADVANCE


def test_a_canary_whose_pods_were_not_available_waits() -> None:
    verdict = judge(seen(counts(9500), counts(1000, fallbacks=200)), LIMITS)
    assert verdict.action is Action.WAIT
    assert verdict.evidence == (
        "the stable version served 20 % of 1000 requests of the canary, "
        "whose pods were not available",
    )
    assert judge(seen(counts(9500), counts(550, fallbacks=51)), LIMITS).action is Action.WAIT


@pytest.mark.parametrize(
    ("pods", "cause"),
    [
        (Pods(cpu=Signs(15, 0)), "CPU a request"),
        (Pods(leak=Signs(15, 0), growths=(2.0**20,) * 15), "memory of a pod grows by 1.00 MiB/s"),
    ],
)
def test_what_pods_use_aborts_with_its_figures(pods: Pods, cause: str) -> None:
    ledger = replace(seen(counts(9500), counts(500)), pods=pods)
    verdict = judge(ledger, LIMITS)
    assert verdict.action is Action.ABORT
    assert verdict.evidence[0].startswith(cause)


def test_the_strongest_cause_is_first() -> None:
    verdict = judge(seen(counts(95_000), counts(5000, 1000, times=2.5)), LIMITS)
    assert [sentence.split()[0] for sentence in verdict.evidence] == ["errors", "p95"]


def test_without_any_metrics_the_canary_holds() -> None:
    assert unreadable(("no proxy pod",)) == Verdict(Action.HOLD, ("no proxy pod",))


def looks(*readings: tuple[int, dict[str, dict[int, Versions]]]) -> Ledger:
    ledger = Ledger.new("3f9a01bc")
    for number, (step, proxies) in enumerate(readings):
        ledger = ledger.record(at=5.0 * number, step=step, proxies=proxies, pods={})
        ledger = Ledger.parse(json.loads(json.dumps(ledger.dump())))
    return ledger


def versions(requests: int) -> Versions:
    return Versions(Counts(9 * requests), Counts(requests))


def test_each_request_counts_once() -> None:
    """Also those of a pod that is gone, that was not read once, or whose counters restarted."""
    ledger = looks(
        (1, {"a": {1: versions(10)}, "b": {1: versions(20)}}),
        (1, {"a": {1: versions(15)}}),
        (1, {"a": {1: versions(2)}, "b": {1: versions(25)}}),
    )
    assert ledger.total.canary.requests == 15 + 2 + 25
    assert ledger.total.stable.requests == 9 * 42


def test_a_step_begins_without_requests_and_late_ones_count_for_the_step_before() -> None:
    ledger = looks(
        (1, {"a": {1: versions(10)}}),
        (2, {"a": {1: versions(12)}, "b": {2: versions(1)}}),
        (2, {"a": {1: versions(12), 2: versions(3)}, "b": {2: versions(1)}}),
        (3, {"a": {1: versions(12), 2: versions(3), 3: versions(5)}}),
    )
    assert ledger.step.canary.requests == 5
    assert ledger.total.canary.requests == 12 + 3 + 1 + 5


def test_the_ledger_of_a_long_canary_is_small() -> None:
    """It is kept in a ConfigMap; pods come and go."""
    ledger = Ledger.new("3f9a01bc")
    many = Versions(counts(10**7, 10**6), counts(10**6, 10**5))
    for number in range(40):
        reading = {f"shop-proxy-7d9c5bcf9d-{number:05}": {3: many, 4: many}}
        ledger = ledger.record(at=5.0 * number, step=4, proxies=reading, pods={})
    assert len(ledger.proxies) == 16
    assert len(json.dumps(ledger.dump(), separators=(",", ":"))) < 13_000
    few = looks((1, {"a": {1: versions(10)}}))
    assert len(json.dumps(few.dump(), separators=(",", ":"))) < 1500


# Without requests of both versions at the same time ---------------------------------------------


def test_a_failing_canary_with_all_requests_is_aborted() -> None:
    """At a last step of 100, or if all clients have one address: there is nothing to compare."""
    before = (1, {"a": {1: Versions(counts(9500, 3), counts(500))}})
    assert judge(looks(before), LIMITS).action is Action.ADVANCE
    failing = looks(before, (2, {"a": {2: Versions(Counts(), counts(600, 120))}}))
    verdict = judge(failing, LIMITS)
    assert verdict.action is Action.ABORT
    assert verdict.evidence[0] == (
        "errors 20 % of 600 requests, while the stable version had none; "
        "errors 11 % of 1100 requests, stable 0.032 % of 9500 requests"
    )
    good = looks(before, (2, {"a": {2: Versions(Counts(), counts(600, 6))}}))
    assert judge(good, LIMITS).action is Action.ADVANCE


def test_nothing_advances_before_the_stable_version_had_requests() -> None:
    verdict = judge(looks((1, {"a": {1: Versions(Counts(), counts(600))}})), LIMITS)
    assert verdict.action is Action.WAIT
    assert verdict.evidence[0].startswith("the stable version had no requests to compare")


def test_requests_of_one_version_in_a_look_are_compared_with_the_next_ones_of_the_other() -> None:
    """With few requests, a look has those of one version only."""
    ledger = looks(
        *(
            (1, {"a": {1: Versions(counts((number + 1) // 2), counts(number // 2, number // 2))}})
            for number in range(120)
        )
    )
    assert judge(ledger, replace(LIMITS, min_requests=20)).action is Action.ABORT


def test_all_of_the_requests_are_a_hundred_percent() -> None:
    verdict = judge(seen(counts(1900), counts(100, 100)), LIMITS)
    assert verdict.evidence[0].startswith("errors 100 % of 100 requests")


def test_nothing_advances_before_durations_were_compared() -> None:
    """Steps of ten seconds end before the pods are warm."""
    cold = seen(counts(9500), counts(500), warming=True)
    verdict = judge(cold, LIMITS)
    assert verdict.action is Action.WAIT
    assert verdict.evidence == ("the durations of 0 of 125 requests are known: the pods warm up",)


def test_a_canary_that_refuses_most_requests_waits() -> None:
    """Its routes or its login are broken: each response has a status of 4xx."""
    stable, canary = counts(9500), counts(500)
    refusing = seen(replace(stable, refused=300), replace(canary, refused=490))
    verdict = judge(refusing, LIMITS)
    assert verdict.action is Action.WAIT
    assert verdict.evidence == (
        "responses of 4xx 98 % of 500 requests, stable 3.2 % of 9500 requests",
    )
    # An API whose clients often ask for what does not exist, and one with a few scanners.
    both = seen(replace(stable, refused=5000), replace(canary, refused=300))
    scanned = seen(replace(stable, refused=300), replace(canary, refused=200))
    assert [judge(ledger, LIMITS).action for ledger in (both, scanned)] == [Action.ADVANCE] * 2
    stored = json.loads(json.dumps(refusing.dump()))
    assert judge(Ledger.parse(stored), LIMITS) == verdict
