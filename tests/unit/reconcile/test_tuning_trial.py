"""The states of a trial of numbers: accepted, rejected, ended, whenever the process is killed."""

from dataclasses import replace
from typing import Any

import pytest

from fastapi_operator.judge.verdict import Action
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Look, Outcome, Phase
from fastapi_operator.reconcile.observe.tuning_record import (
    Aim,
    Change,
    Step,
    TuningRecord,
    Verdict,
)
from fastapi_operator.reconcile.plan.canary import next_record
from fastapi_operator.reconcile.plan.tuning_trial import Proposal, TuningSituation, next_tuning
from fastapi_operator.tuning.measurements import Figure
from tests.unit.reconcile.test_canary import ADVANCE, COURSE, NEW

FIGURE = Figure(value=24, seconds=86_400, count=500_000)
STEP = Step(
    figure="database_milliseconds_per_request",
    value=FIGURE,
    aim=Aim.GAINS,
    changes=(Change("pool.size", "12 connections", "18 connections"),),
    evidence="databaseMillisecondsPerRequest 24 ms (500,000 requests in 24 h)",
)
PROPOSAL = Proposal(STEP, TuningRecord())
IDLE = TuningSituation(spec="spec", automatic=True, idle=True)


def after(record: TuningRecord | None, now: int = 9, **changes: Any) -> TuningRecord | None:
    return next_tuning(record, replace(IDLE, idle=False, **changes), None, now)


def begun() -> TuningRecord:
    record = next_tuning(None, IDLE, PROPOSAL, 7)
    assert record is not None
    assert record.trial is not None
    return record


def canary(phase: Phase, **changes: Any) -> CanaryRecord:
    trial = begun().trial
    assert trial is not None
    return CanaryRecord("t", trial.identity, "abcd1234", "shop:1", phase, since=7, **changes)


def test_a_proposal_begins_a_trial_of_the_released_spec() -> None:
    trial = begun().trial
    assert trial is not None
    assert (trial.spec, trial.step, trial.since) == ("spec", STEP, 7)
    assert begun().accepted == {}
    assert begun().tried.usable() == {STEP.figure: FIGURE}


@pytest.mark.parametrize("changes", [{"idle": False}, {"automatic": False}, {"automatic": None}])
def test_none_begins_otherwise(changes: dict[str, Any]) -> None:
    assert next_tuning(None, replace(IDLE, **changes), PROPOSAL, 7) is None


def test_a_proposal_from_an_older_record_is_void() -> None:
    record = TuningRecord(accepted={STEP.figure: FIGURE})
    assert next_tuning(record, IDLE, PROPOSAL, 7) == record


def test_a_trial_waits_for_its_canary_and_is_accepted_when_that_is_promoted() -> None:
    record = begun()
    assert after(record) == record
    for phase in (Phase.STARTING, Phase.PROGRESSING, Phase.HOLDING):
        assert after(record, canary=canary(phase)) == record
    look = Look(Action.ADVANCE, "errors 0 %", gain="faster: p95 20 ms, stable 31 ms")
    found = after(record, canary=canary(Phase.PROMOTING, look=look))
    assert found is not None
    assert (found.trial, found.accepted) == (None, {STEP.figure: FIGURE})
    assert found.history[0].verdict is Verdict.ACCEPTED
    assert found.history[0].reason == "faster: p95 20 ms, stable 31 ms"


@pytest.mark.parametrize(
    ("outcome", "reason", "verdict"),
    [
        (Outcome.ABORTED, "JudgedWorse", Verdict.REJECTED),
        (Outcome.ABORTED, "PodsNotReady", Verdict.REJECTED),
        (Outcome.ABORTED, "NotDecided", Verdict.REJECTED),
        # The numbers were not compared.
        (Outcome.ABORTED, "NoRoom", Verdict.ENDED),
        (Outcome.ABORTED, "TooFewRequests", Verdict.ENDED),
        (Outcome.ABORTED, "MetricsNotReadable", Verdict.ENDED),
        (Outcome.WITHDRAWN, "Withdrawn", Verdict.ENDED),
    ],
)
def test_a_trial_ends_with_its_canary_and_nothing_is_accepted(
    outcome: Outcome, reason: str, verdict: Verdict
) -> None:
    ended = canary(Phase.ENDING, outcome=outcome, reason=reason, message="errors 20 %")
    found = after(begun(), canary=ended)
    assert found is not None
    assert (found.trial, found.accepted) == (None, {})
    assert (found.history[0].verdict, found.history[0].reason) == (verdict, "errors 20 %")


def test_a_newer_spec_ends_a_trial_even_if_its_canary_was_promoted() -> None:
    found = after(begun(), spec="newer", canary=canary(Phase.PROMOTING))
    assert found is not None
    assert (found.trial, found.accepted) == (None, {})
    assert found.history[0].verdict is Verdict.ENDED


def test_a_trial_whose_pods_would_be_the_same_ends() -> None:
    assert after(begun(), differs=None) == begun()
    found = after(begun(), differs=False)
    assert found is not None
    assert found.history[0].verdict is Verdict.REJECTED


def test_another_mode_forgets_what_was_accepted_once_it_is_released() -> None:
    record = TuningRecord(accepted={STEP.figure: FIGURE})
    assert after(record, automatic=None) == record
    assert after(record, automatic=False) is None


# Its canary ---------------------------------------------------------------------------------------

TRIED = replace(NEW, trial="pool.size from 12 to 18", needs_gain=True)
LAST = CanaryRecord(
    "new", "spec-new", "abcd1234", "shop:1", Phase.PROGRESSING, since=0, step=2, pods=4
)


def test_numbers_that_cost_more_are_promoted_only_if_they_are_better() -> None:
    as_good = next_record(LAST, TRIED, ADVANCE, 60)
    assert as_good is not None
    assert (as_good.phase, as_good.step) == (Phase.PROGRESSING, 2)
    better = replace(ADVANCE, gain="faster: p95 20 ms, stable 31 ms")
    promoted = next_record(LAST, TRIED, better, 60)
    assert promoted is not None
    assert promoted.phase is Phase.PROMOTING
    saving = next_record(LAST, replace(TRIED, needs_gain=False), ADVANCE, 60)
    assert saving is not None
    assert saving.phase is Phase.PROMOTING


@pytest.mark.parametrize(("pods", "steps"), [(1, (5, 50)), (2, (5, 33)), (9, (5, 10)), (30, (3,))])
def test_one_pod_gets_the_share_of_each_other_pod(pods: int, steps: tuple[int, ...]) -> None:
    course = replace(COURSE, holds=True).of_trial(pods)
    assert (course.steps, course.holds) == (steps, False)
    assert course.pods(len(steps), pods) == 1
    begun = next_record(None, replace(TRIED, course=course, app_pods=pods, present=False), None, 7)
    assert begun is not None
    assert begun.steps == steps


def test_numbers_without_a_gain_are_aborted_at_the_end_of_the_last_step() -> None:
    first = replace(LAST, step=1)
    advanced = next_record(first, TRIED, replace(ADVANCE, gain="faster"), 60)
    assert advanced is not None
    # A gain in an earlier step, with other shares, does not count.
    assert (advanced.step, advanced.look.gain) == (2, "")
    late = COURSE.max_wait_seconds + 1
    seen = replace(LAST, look=replace(ADVANCE, at=late - 5))
    found = next_record(seen, TRIED, replace(ADVANCE, at=late), late)
    assert found is not None
    assert (found.outcome, found.reason) == (Outcome.ABORTED, "NoGain")
    assert found.message == "no gain within 600 s: errors 0 %"
