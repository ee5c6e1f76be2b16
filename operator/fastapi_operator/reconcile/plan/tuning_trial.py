"""The next state of automatic tuning: a pure function of its record and of the trial's canary.

A trial is a canary of the released spec with other numbers. Its record is written before the
canary begins, and again when the canary is promoted or has failed, before any other object.
"""

from dataclasses import dataclass, replace

from fastapi_operator import naming
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Outcome, Phase
from fastapi_operator.reconcile.observe.tuning_record import Step, Trial, TuningRecord, Verdict
from fastapi_operator.reconcile.plan.canary import UNTRIED

_ID_LENGTH = 8
_UNCHANGED = "the pods would be the same"


@dataclass(frozen=True)
class Proposal:
    """A step that follows from the newest measurements.

    Attributes:
        step: The step.
        base: The record from which it was chosen; for another one it is void.
    """

    step: Step
    base: TuningRecord


@dataclass(frozen=True)
class TuningSituation:
    """Everything that the next state depends on, beside the record and the time.

    Attributes:
        spec: The hash of the spec.
        automatic: Whether the mode of the spec is Automatic; None if the spec is invalid.
        idle: Whether a trial may begin: the spec is released and ready, and there is no canary.
        canary: The record of a canary.
        differs: Whether the trial's pods differ from the released ones; None if unknown.
    """

    spec: str
    automatic: bool | None
    idle: bool = False
    canary: CanaryRecord | None = None
    differs: bool | None = None


def next_tuning(
    record: TuningRecord | None,
    situation: TuningSituation,
    proposal: Proposal | None,
    now: int,
) -> TuningRecord | None:
    """Returns the record that follows; an equal one if nothing changes, None for none.

    Args:
        record: The stored record; None if there is none.
        situation: The observed objects.
        proposal: A step to try; None without one.
        now: The time in seconds since 1970.
    """
    if situation.automatic is None:
        return record
    if not situation.automatic:
        return None
    if record is not None and record.trial is not None:
        return _tried(record, record.trial, situation, now)
    known = record or TuningRecord()
    if proposal is None or not situation.idle or proposal.base != known:
        return record
    identity = naming.content_hash(f"{situation.spec} {proposal.step.figure} {now}")[:_ID_LENGTH]
    return replace(known, trial=Trial(identity, situation.spec, proposal.step, now))


def _tried(
    record: TuningRecord, trial: Trial, situation: TuningSituation, now: int
) -> TuningRecord:
    canary = situation.canary
    if trial.spec != situation.spec:
        return record.ended(Verdict.ENDED, "the spec changed", now)
    if canary is None or canary.spec != trial.identity:
        unchanged = situation.differs is False
        return record.ended(Verdict.REJECTED, _UNCHANGED, now) if unchanged else record
    if canary.phase is Phase.PROMOTING:
        why = canary.look.gain or canary.look.evidence or "a person promoted it"
        return record.ended(Verdict.ACCEPTED, why, now)
    if canary.outcome is None:
        return record
    is_worse = canary.outcome is Outcome.ABORTED and canary.reason not in UNTRIED
    return record.ended(Verdict.REJECTED if is_worse else Verdict.ENDED, canary.message, now)
