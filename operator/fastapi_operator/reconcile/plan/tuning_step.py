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
# much: noise of an eighth is no reason. A rejected step also after so long, but not the same
# numbers before: from rare bursts, a figure is known to a quarter at most.
MOVED = 0.25
FORGET_SECONDS = 30 * _DAY
# More of it keeps pods from an OOM kill, if their memory was measured. Other figures give memory to
# the bodies of more requests, which must show a gain.
_PROTECTING = "compute.memory_limit_bytes"
_MEMORY = "worker_memory_bytes"


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

    rounded, found = measured.rounded(), list[_Candidate]()
    base = plan_of(record.accepted)
    target = _values(base, plan_of({**record.accepted, **rounded}))
    # A trial of the future ended by a clock that was wrong, and delays nothing.
    pace = settings.measurement_pace
    past = [_Past(entry, abs(now - entry.at) * pace) for entry in record.history]
    for name, figure in rounded.items():
        if _is_known(record, name, figure):
            continue
        plan = plan_of({**record.accepted, name: figure})
        candidate = _candidate(base, plan, target, name, figure)
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


def _values(base: Plan, plan: Plan) -> Mapping[str, Any]:
    """Returns the numbers of a plan that differ from those of another one."""
    return {after.name: after.value for _, after in changes(base, plan) if after is not None}


def _candidate(
    base: Plan, plan: Plan, target: Mapping[str, Any], name: str, figure: Figure
) -> _Candidate | None:
    """Returns the step of a figure; None if it wins too little or costs more than a rollout.

    Args:
        base: The present plan.
        plan: The plan with this figure.
        target: The numbers that all figures together change.
        name: The name of the figure.
        figure: The figure.
    """
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
    # What another figure takes back is not tried: a long p95 alone means more requests at once, but
    # not if each of them costs more CPU too.
    if not any(_approaches(before, after, target) for before, after in tried):
        return None
    return _Candidate(
        Step(
            figure=name,
            value=figure,
            aim=_aim(name, tried),
            changes=tuple(
                Change(after.name, before.display(), after.display()) for before, after in tried
            ),
            evidence=f"{alias_of(name)} {figure.describe(NEEDS[name].unit)}",
        ),
        gain=max(abs(after.value - before.value) / before.value for before, after in tried),
    )


def _approaches(before: Decision[Any], after: Decision[Any], target: Mapping[str, Any]) -> bool:
    wanted = target.get(after.name, before.value)
    return bool(abs(after.value - wanted) < abs(before.value - wanted))


def _aim(figure: str, tried: list[tuple[Decision[Any], Decision[Any]]]) -> Aim:
    more = {after.name for before, after in tried if after.value > before.value}
    if not more:
        return Aim.SAVES
    return Aim.PROTECTS if figure == _MEMORY and more == {_PROTECTING} else Aim.GAINS


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
    """Whether a rejected step had nearly the same figure, or the same numbers from another one."""
    rejected = item.entry.step
    before, after = rejected.value.value, step.value.value
    return (
        item.entry.verdict is Verdict.REJECTED
        and item.seconds < FORGET_SECONDS
        and (abs(after - before) < MOVED * before or rejected.changes == step.changes)
    )


def _is_confident(step: Step, seconds: float) -> bool:
    """Whether there is a week of data: less is not taken for a quiet day."""
    needed = figures.CONFIDENT_FACTOR * NEEDS[step.figure].requests
    return seconds >= figures.CONFIDENT_SECONDS and step.value.count >= needed
