"""The next step of automatic tuning: what it may change, and that a steady service takes none."""

import random
from typing import Any

import pytest
from hypothesis import given, settings

from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.observe.tuning_record import (
    Aim,
    Change,
    Step,
    Trial,
    TuningRecord,
    Verdict,
)
from fastapi_operator.reconcile.plan.tuning_step import next_step
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.effects import Disruption
from fastapi_operator.tuning.explain import changes
from fastapi_operator.tuning.measurements import Measurements
from tests.unit.services import SPECS, service
from tests.unit.tuning.test_invariants import INVARIANTS, errors
from tests.unit.tuning.test_measurements import ENOUGH, MEASUREMENTS

HOUR, DAY = 3600, 86_400
WEEK = 7 * DAY
MIB = 2**20
SHOP: dict[str, Any] = {
    "postgres": {"resources": {"limits": {"cpu": "4", "memory": "4Gi"}}},
    "rollout": {"canary": {}},
    "tuning": {"mode": "Automatic"},
}
NOTHING = TuningRecord()


def measured(seconds: float = WEEK, count: int = 1_000_000, **values: float) -> Measurements:
    figure = {"seconds": seconds, "count": count}
    found = {name: {"value": value, **figure} for name, value in values.items()}
    return Measurements.from_mapping({"busyShare": 0.3, "figures": found})


def step_of(
    found: Measurements,
    record: TuningRecord = NOTHING,
    now: int = 0,
    seconds: float = WEEK,
    **spec: Any,
) -> Step | None:
    shop = service(**{**SHOP, **spec})
    return next_step(shop, Settings(), Facts(), record, found, seconds=seconds, now=now)


def some(step: Step | None) -> Step:
    assert step is not None
    return step


def ended(record: TuningRecord, step: Step, verdict: Verdict, now: int) -> TuningRecord:
    trial = Trial("abcd1234", "spec", step, now)
    return TuningRecord(record.accepted, trial, record.history).ended(verdict, "why", now)


# What a step is -----------------------------------------------------------------------------------


def test_a_step_is_one_figure_and_the_numbers_that_follow_from_it() -> None:
    step = some(step_of(measured(workerMemoryBytes=88 * MIB)))
    assert (step.figure, step.aim) == ("worker_memory_bytes", Aim.SAVES)
    assert step.changes == (Change("compute.memory_limit_bytes", "256Mi", "160Mi"),)
    assert step.text == "compute.memory_limit_bytes from 256Mi to 160Mi"
    assert step.evidence == "workerMemoryBytes 88Mi (1,000,000 requests in 7 days)"


def test_memory_that_pods_need_comes_before_a_gain_and_a_gain_before_a_saving() -> None:
    pool = {"databaseMillisecondsPerRequest": 24.0}
    needs = measured(workerMemoryBytes=300 * MIB, **pool)
    assert some(step_of(needs)).aim is Aim.PROTECTS
    saves = measured(workerMemoryBytes=88 * MIB, **pool)
    step = some(step_of(saves))
    assert (step.aim, step.figure) == (Aim.GAINS, "database_milliseconds_per_request")


def test_less_is_taken_after_a_week_only() -> None:
    saves = measured(workerMemoryBytes=88 * MIB)
    assert step_of(saves, seconds=DAY) is None
    assert step_of(measured(count=20_000, workerMemoryBytes=88 * MIB)) is None
    assert step_of(measured(workerMemoryBytes=300 * MIB), seconds=DAY) is not None


def test_no_step_is_worth_less_than_a_tenth_or_changes_what_the_spec_sets_or_freezes() -> None:
    assert step_of(measured(workerMemoryBytes=158 * MIB)) is None
    saves = measured(workerMemoryBytes=88 * MIB)
    assert step_of(saves, resources={"limits": {"memory": "256Mi"}}) is None
    frozen = {"mode": "Automatic", "freeze": ["compute.memory_limit_bytes"]}
    assert step_of(saves, tuning=frozen) is None


def test_a_number_that_needs_no_new_pods_is_left_to_people() -> None:
    assert step_of(measured(peakRequestsPerSecond=100_000.0)) is None


def test_what_another_figure_takes_back_is_not_tried() -> None:
    """A long p95 alone means more requests at once, but not if each costs more CPU too."""
    step = some(step_of(measured(p95Milliseconds=150.0)))
    assert "server.concurrency" in step.text
    both = some(step_of(measured(p95Milliseconds=150.0, cpuMillisecondsPerRequest=10.0)))
    assert both.figure == "cpu_milliseconds_per_request"
    assert "server.concurrency" not in both.text


def test_memory_for_more_requests_must_show_a_gain() -> None:
    found = measured(workerMemoryBytes=104 * MIB)
    record = ended(NOTHING, some(step_of(found)), Verdict.ACCEPTED, 0)
    more = measured(workerMemoryBytes=104 * MIB, p95Milliseconds=80.0)
    step = some(step_of(more, record, now=WEEK))
    assert step.text == "compute.memory_limit_bytes from 160Mi to 192Mi"
    assert step.aim is Aim.GAINS


def test_nothing_is_tried_while_another_trial_runs() -> None:
    saves = measured(workerMemoryBytes=88 * MIB)
    trial = Trial("abcd1234", "spec", some(step_of(saves)), 0)
    assert step_of(saves, TuningRecord(trial=trial)) is None


# What is remembered -------------------------------------------------------------------------------


def test_an_accepted_figure_is_not_tried_again() -> None:
    saves = measured(workerMemoryBytes=88 * MIB)
    record = ended(NOTHING, some(step_of(saves)), Verdict.ACCEPTED, 0)
    assert record.accepted["worker_memory_bytes"].value == 88 * MIB
    assert step_of(saves, record, now=WEEK) is None


def test_a_rejected_step_waits_until_its_figure_has_moved_or_a_month_has_passed() -> None:
    pool = measured(databaseMillisecondsPerRequest=10.0)
    record = ended(NOTHING, some(step_of(pool)), Verdict.REJECTED, 0)
    assert record.accepted == {}
    assert step_of(pool, record, now=2 * WEEK) is None
    assert step_of(measured(databaseMillisecondsPerRequest=12.0), record, now=2 * WEEK) is None
    assert step_of(measured(databaseMillisecondsPerRequest=13.0), record, now=2 * WEEK) is not None
    assert step_of(pool, record, now=31 * DAY) is not None


def test_the_numbers_of_a_rejected_step_are_not_tried_again_because_of_another_figure() -> None:
    def threads(milliseconds: float) -> Measurements:
        return measured(blockingMillisecondsPerRequest=milliseconds)

    step = some(step_of(threads(5.0)))
    assert step.text == "server.threads from 40 threads to 8 threads"
    record = ended(NOTHING, step, Verdict.REJECTED, 0)
    # Twice the time, which eight threads still carry.
    assert step_of(threads(10.0), record, now=2 * WEEK) is None
    assert some(step_of(threads(50.0), record, now=2 * WEEK)).changes != step.changes
    assert step_of(threads(10.0), record, now=31 * DAY) is not None


def test_a_trial_that_only_ended_is_tried_again_after_a_day() -> None:
    pool = measured(databaseMillisecondsPerRequest=24.0)
    record = ended(NOTHING, some(step_of(pool)), Verdict.ENDED, 0)
    assert step_of(pool, record, now=DAY - 1) is None
    assert step_of(pool, record, now=DAY) is not None


def test_memory_that_pods_need_waits_hours_after_a_trial_without_a_result() -> None:
    needs = measured(workerMemoryBytes=300 * MIB)
    record = ended(NOTHING, some(step_of(needs)), Verdict.ENDED, 0)
    assert step_of(needs, record, now=4 * HOUR - 1) is None
    assert some(step_of(needs, record, now=4 * HOUR)).aim is Aim.PROTECTS


def test_all_waits_pass_faster_with_the_pace_of_measurements() -> None:
    pool, fast = measured(databaseMillisecondsPerRequest=24.0), Settings(measurement_pace=60)
    record = ended(NOTHING, some(step_of(pool)), Verdict.ENDED, 0)

    def after(now: int) -> Step | None:
        return next_step(service(**SHOP), fast, Facts(), record, pool, seconds=WEEK, now=now)

    assert after(DAY // 60 - 1) is None
    assert after(DAY // 60) is not None


def test_a_trial_of_a_clock_that_was_ahead_delays_nothing() -> None:
    pool = measured(databaseMillisecondsPerRequest=24.0)
    record = ended(NOTHING, some(step_of(pool)), Verdict.REJECTED, 365 * DAY)
    assert step_of(pool, record, now=DAY) is not None


def test_memory_that_pods_need_does_not_wait_for_a_day_to_pass() -> None:
    needs = measured(workerMemoryBytes=300 * MIB)
    pool = some(step_of(measured(databaseMillisecondsPerRequest=24.0)))
    record = ended(NOTHING, pool, Verdict.ACCEPTED, 0)
    assert some(step_of(needs, record, now=HOUR)).aim is Aim.PROTECTS


def test_what_was_needed_is_not_taken_away_within_a_week() -> None:
    needs = measured(workerMemoryBytes=300 * MIB)
    record = ended(NOTHING, some(step_of(needs)), Verdict.ACCEPTED, 0)
    saves = measured(workerMemoryBytes=88 * MIB)
    assert step_of(saves, record, now=WEEK - 1) is None
    assert some(step_of(saves, record, now=WEEK)).aim is Aim.SAVES


def test_an_accepted_figure_is_replaced_when_it_falls_by_a_quarter_or_memory_grows_by_a_tenth() -> (
    None
):
    first = some(step_of(measured(workerMemoryBytes=120 * MIB)))
    record = ended(NOTHING, first, Verdict.ACCEPTED, 0)
    assert step_of(measured(workerMemoryBytes=96 * MIB), record, now=WEEK) is None
    assert some(step_of(measured(workerMemoryBytes=88 * MIB), record, now=WEEK)).aim is Aim.SAVES
    assert step_of(measured(workerMemoryBytes=124 * MIB), record, now=WEEK) is None
    more = some(step_of(measured(workerMemoryBytes=136 * MIB), record, now=WEEK))
    assert more.aim is Aim.PROTECTS


def test_a_figure_that_returns_to_the_assumption_gives_the_number_back() -> None:
    record = ended(
        NOTHING, some(step_of(measured(workerMemoryBytes=300 * MIB))), Verdict.ACCEPTED, 0
    )
    back = some(step_of(measured(workerMemoryBytes=160 * MIB), record, now=WEEK))
    assert back.changes[0].better == "256Mi"


def test_a_record_survives_its_text_and_stays_small() -> None:
    record = NOTHING
    for day in range(60):
        found = measured(databaseMillisecondsPerRequest=10.0 + 20 * (day % 7))
        step = some(step_of(found, now=day * DAY))
        record = ended(record, step, Verdict.REJECTED, day * DAY)
    assert TuningRecord.parse(record.text) == record
    assert len(record.text) < 16 * 1024
    assert TuningRecord.parse("{}") == NOTHING
    assert TuningRecord.parse('{"trial": 1}') is None
    unknown = '{"accepted": {"of_tomorrow": {"value": 1, "seconds": 1, "count": 1}}}'
    assert TuningRecord.parse(unknown) is None


# What holds for every service ---------------------------------------------------------------------


@given(spec=SPECS, found=ENOUGH | MEASUREMENTS)
@settings(deadline=None, max_examples=60)
def test_every_step_keeps_the_invariants_and_restarts_nothing(
    spec: dict[str, Any], found: Measurements
) -> None:
    shop = service(**spec)
    step = next_step(shop, Settings(), Facts(), NOTHING, found, seconds=WEEK, now=0)
    if step is None:
        return
    accepted = Measurements.accepted({step.figure: step.value})
    before, after = (
        derive(shop, Settings(), Facts(), each) for each in (NOTHING.measurements, accepted)
    )
    assert not errors(after)
    for invariant in INVARIANTS:
        invariant(spec, after)
    restarts = {item.decision.disruption for item in changes(before, after)}
    assert Disruption.RESTART not in restarts
    shown = {item.number for item in step.changes}
    assert shown <= {item.decision.name for item in changes(before, after)}


@pytest.mark.parametrize("verdict", [Verdict.ACCEPTED, Verdict.REJECTED])
@pytest.mark.parametrize("seed", range(2))
def test_noise_is_no_reason_for_a_step(seed: int, verdict: Verdict) -> None:
    """A steady service for three weeks, whose figures are noisy by an eighth."""
    chance = random.Random(seed)
    record, taken = NOTHING, list[Step]()

    def noisy(mean: float) -> float:
        return mean * chance.uniform(0.94, 1.06)

    for now in range(0, 3 * WEEK, 6 * HOUR):
        found = measured(
            workerMemoryBytes=noisy(100 * MIB),
            databaseMillisecondsPerRequest=noisy(24),
            cpuMillisecondsPerRequest=noisy(3.1),
            p95Milliseconds=noisy(71),
        )
        step = step_of(found, record, now)
        if step is not None:
            taken.append(step)
            record = ended(record, step, verdict, now)
    texts = [step.text for step in taken]
    assert taken[0].figure == "database_milliseconds_per_request"
    # Each figure once; memory once more if its first figure was below the usual one.
    again = [step for index, step in enumerate(taken) if step.figure in _figures(taken[:index])]
    assert all(step.aim is Aim.PROTECTS for step in again), texts
    assert len(again) <= 1, texts


def _figures(steps: list[Step]) -> set[str]:
    return {step.figure for step in steps}
