"""The next step of automatic tuning: one measured figure, and the numbers that follow from it.

Formulas and invariants are those of every plan: a step only replaces one input of ``derive``, so
the connection budget holds, and a field of the spec or its profile is never changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.reconcile.observe.tuning_record import (
    Aim,
    Change,
    Ended,
    Step,
    TuningRecord,
    Verdict,
)
from fastapi_operator.settings import Settings
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.effects import Disruption
from fastapi_operator.tuning.explain import changes
from fastapi_operator.tuning.measurements import NEEDS, Figure, Measurements, alias_of
from fastapi_operator.tuning.plan import Plan

_DAY = 86_400
# After a trial, the means of a day are those of the present numbers.
PAUSE_SECONDS = _DAY
# A trial without a result, for example because no node had room, is tried again after so long, also
# of memory that pods need.
RETRY_SECONDS = 4 * 3600
# Less is not taken again so soon after more was needed, so that a noisy figure does not oscillate.
TURN_SECONDS = 7 * _DAY
# An accepted figure is replaced, and a rejected step is tried again, if the figure has moved by so
# much: noise of an eighth is no reason. A rejected step also after so long.
MOVED = 0.25
FORGET_SECONDS = 30 * _DAY
# More of it keeps pods from an OOM kill.
_PROTECTING = "compute.memory_limit_bytes"


class _Candidate(NamedTuple):
    step: Step
    gain: float


class _Past(NamedTuple):
    """A trial that ended so many seconds ago."""

    entry: Ended
    seconds: float


def next_step(
    service: FastAPIService,
    settings: Settings,
    facts: Facts,
    record: TuningRecord,
    measured: Measurements,
    *,
    seconds: float,
    now: int,
) -> Step | None:
    """Returns the step to try next; None if there is none.

    Memory that pods need comes first, then other numbers that need more, then what can be saved.

    Args:
        service: The service.
        settings: The settings of the operator, with the pace of all waits.
        facts: The facts about the cluster.
        record: What is remembered of earlier steps.
        measured: The newest measurements.
        seconds: The length of their observation.
        now: The time, in seconds since 1970.
    """
    if record.trial is not None:
        return None

    def plan_of(accepted: Mapping[str, Figure]) -> Plan:
        return derive(service, settings, facts, Measurements.accepted(accepted))

    base, found = plan_of(record.accepted), list[_Candidate]()
    # A trial of the future ended by a clock that was wrong, and delays nothing.
    pace = settings.measurement_pace
    past = [_Past(entry, abs(now - entry.at) * pace) for entry in record.history]
    for name, figure in measured.rounded().items():
        if _is_known(record, name, figure):
            continue
        candidate = _candidate(base, plan_of({**record.accepted, name: figure}), name, figure)
        if (
            candidate is not None
            and _has_moved(record, candidate.step)
            and not _waits(past, candidate.step, seconds=seconds)
        ):
            found.append(candidate)
    order = (Aim.PROTECTS, Aim.GAINS, Aim.SAVES)
    best = min(found, key=lambda item: (order.index(item.step.aim), -item.gain), default=None)
    return best.step if best is not None else None


def _is_known(record: TuningRecord, name: str, figure: Figure) -> bool:
    """Whether formulas already use this value."""
    accepted = record.accepted.get(name)
    return (accepted.value if accepted is not None else NEEDS[name].constant) == figure.value


def _candidate(base: Plan, plan: Plan, name: str, figure: Figure) -> _Candidate | None:
    """Returns the step of a figure; None if it wins too little or costs more than a rollout."""
    if any(problem.severity is Severity.ERROR for problem in plan.problems):
        return None
    if plan.budget is not None and any(step.slack < 0 for step in plan.budget.steps()):
        return None
    tried = []
    for before, after in changes(base, plan):
        if before is None or after is None or after.disruption is Disruption.RESTART:
            return None
        is_tuned = Source.TUNED in (before.source, after.source)
        is_enough = is_tuned and abs(after.value - before.value) >= figures.GAIN_MIN * before.value
        if is_enough and after.disruption is Disruption.ROLLOUT:
            tried.append((before, after))
    if not tried:
        return None
    return _Candidate(
        Step(
            figure=name,
            value=figure,
            aim=_aim(tried),
            changes=tuple(
                Change(after.name, before.display(), after.display()) for before, after in tried
            ),
            evidence=f"{alias_of(name)} {figure.describe(NEEDS[name].unit)}",
        ),
        gain=max(abs(after.value - before.value) / before.value for before, after in tried),
    )


def _aim(tried: list[tuple[Decision[Any], Decision[Any]]]) -> Aim:
    more = {after.name for before, after in tried if after.value > before.value}
    if not more:
        return Aim.SAVES
    return Aim.PROTECTS if more == {_PROTECTING} else Aim.GAINS


def _has_moved(record: TuningRecord, step: Step) -> bool:
    """Whether a figure differs from the accepted one by more than noise."""
    accepted = record.accepted.get(step.figure)
    if accepted is None:
        return True
    least = figures.GAIN_MIN if step.aim is Aim.PROTECTS else MOVED
    return abs(step.value.value - accepted.value) >= least * accepted.value


def _waits(past: Sequence[_Past], step: Step, *, seconds: float) -> bool:
    """Whether a step must not be tried now, after these trials, the newest first."""
    if step.aim is not Aim.PROTECTS and past and past[0].seconds < PAUSE_SECONDS:
        return True
    own = [item for item in past if item.entry.step.figure == step.figure]
    if own and own[0].entry.verdict is Verdict.ENDED and own[0].seconds < RETRY_SECONDS:
        return True
    if any(_is_rejected_like(item, step) for item in own):
        return True
    if step.aim is not Aim.SAVES:
        return False
    is_turn = any(
        item.entry.verdict is Verdict.ACCEPTED
        and item.entry.step.aim is not Aim.SAVES
        and item.seconds < TURN_SECONDS
        for item in own
    )
    return is_turn or not _is_confident(step, seconds)


def _is_rejected_like(item: _Past, step: Step) -> bool:
    before, after = item.entry.step.value.value, step.value.value
    return (
        item.entry.verdict is Verdict.REJECTED
        and item.seconds < FORGET_SECONDS
        and abs(after - before) < MOVED * before
    )


def _is_confident(step: Step, seconds: float) -> bool:
    """Whether there is a week of data: less is not taken for a quiet day."""
    needed = figures.CONFIDENT_FACTOR * NEEDS[step.figure].requests
    return seconds >= figures.CONFIDENT_SECONDS and step.value.count >= needed
