"""What automatic tuning remembers: a ConfigMap ``NAME-tuning``.

It has the measured figures that were accepted, the trial that runs, and the steps that were
rejected. As with the record of a canary, each transition is one write with the resourceVersion as
precondition, before anything follows from it.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from fastapi_operator import naming
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.record_body import record_body
from fastapi_operator.resources.desired import ObjectKey
from fastapi_operator.tuning.measurements import NEEDS, Figure, Measurements

DATA_KEY = "tuning.json"
# Ended trials that are kept.
HISTORY = 10
_SUFFIX = "tuning"
# Up to the year 9999; people may edit the object.
_Seconds = Annotated[int, Field(ge=0, lt=253_402_300_800)]


class Aim(StrEnum):
    """What a step is to achieve.

    SAVES: less of each number, so it only must not be worse. PROTECTS: more memory, which keeps
    pods from an OOM kill that no comparison would wait for. GAINS: more of another number, which
    must show as faster responses or fewer errors.
    """

    SAVES = "Saves"
    PROTECTS = "Protects"
    GAINS = "Gains"


class Verdict(StrEnum):
    """How a trial ended.

    ENDED: neither, for example because the spec changed, no node had room, or requests were too
    few.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ENDED = "Ended"


@dataclass(frozen=True)
class Change:
    """A number that a step changes, as people read it."""

    number: str
    now: str
    better: str

    def __str__(self) -> str:
        return f"{self.number} from {self.now} to {self.better}"


@dataclass(frozen=True)
class Step:
    """One measured figure that replaces the one before in all formulas.

    Attributes:
        figure: Its name.
        value: The figure.
        aim: What it is to achieve.
        changes: The numbers that follow from it.
        evidence: The figure with its requests and the time of observation.
    """

    figure: str
    value: Figure
    aim: Aim
    changes: tuple[Change, ...]
    evidence: str

    @property
    def text(self) -> str:
        """The changes in a sentence."""
        return ", ".join(map(str, self.changes))


@dataclass(frozen=True)
class Trial:
    """A step that is tried.

    Attributes:
        id: Identifies this attempt.
        spec: The hash of the spec for which it began.
        step: The step.
        since: When it began, in seconds since 1970.
    """

    id: str
    spec: str
    step: Step
    since: _Seconds

    @property
    def identity(self) -> str:
        """The identity of the spec with these numbers."""
        return naming.content_hash(f"{self.spec} {self.id}")


@dataclass(frozen=True)
class Ended:
    """A trial that ended.

    Attributes:
        step: The step.
        verdict: How it ended.
        reason: Why, with the judge's figures.
        at: When, in seconds since 1970.
    """

    step: Step
    verdict: Verdict
    reason: str
    at: _Seconds


@dataclass(frozen=True)
class TuningRecord:
    """What automatic tuning remembers of a service.

    Attributes:
        accepted: The figures that formulas use, by name.
        trial: The trial that runs; None without one.
        history: Trials that ended, the newest first. Rejected steps are not tried again.
    """

    accepted: Mapping[str, Figure] = field(default_factory=dict)
    trial: Trial | None = None
    history: tuple[Ended, ...] = ()

    @property
    def measurements(self) -> Measurements:
        """The accepted figures, as an input of ``derive``."""
        return Measurements.accepted(self.accepted)

    @property
    def tried(self) -> Measurements:
        """The figures with which the pods of the trial are built."""
        return Measurements.accepted(self._with_trial)

    @property
    def _with_trial(self) -> dict[str, Figure]:
        step = self.trial.step if self.trial is not None else None
        return {**self.accepted, **({step.figure: step.value} if step is not None else {})}

    def ended(self, verdict: Verdict, reason: str, now: int) -> "TuningRecord":
        """Returns the record after its trial."""
        assert self.trial is not None, "a trial runs"
        entry = Ended(self.trial.step, verdict, reason, now)
        is_accepted = verdict is Verdict.ACCEPTED
        return TuningRecord(
            accepted=self._with_trial if is_accepted else self.accepted,
            history=tuple(_kept((entry, *self.history))),
        )

    @property
    def text(self) -> str:
        """The record as JSON."""
        return _adapter().dump_json(self).decode()

    @classmethod
    def parse(cls, text: str) -> "TuningRecord | None":
        """Returns the record in a JSON text; None if the text is not one."""
        try:
            found = _adapter().validate_json(text)
        except ValidationError:
            return None
        # People may edit the object, and a figure may be one of another version.
        return found if found._with_trial.keys() <= NEEDS.keys() else None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "TuningRecord | None":
        """Returns the record in a live ConfigMap; None if it has none."""
        text = (body.get("data") or {}).get(DATA_KEY)
        return cls.parse(text) if isinstance(text, str) else None

    def to_body(self, owner: Owner) -> dict[str, Any]:
        """Returns the ConfigMap with this record."""
        return record_body(record_key(owner), owner, {DATA_KEY: self.text})


def _kept(history: tuple[Ended, ...]) -> Iterator[Ended]:
    """Yields the newest ends, and the newest of each figure and verdict however old it is."""
    seen: set[tuple[str, Verdict]] = set()
    for index, entry in enumerate(history):
        key = (entry.step.figure, entry.verdict)
        if index < HISTORY or key not in seen:
            yield entry
        seen.add(key)


@functools.cache
def _adapter() -> TypeAdapter[TuningRecord]:
    return TypeAdapter(TuningRecord)


def record_key(owner: Owner) -> ObjectKey:
    """Returns the identity of the record of a service."""
    return ObjectKey("", "ConfigMap", owner.namespace, record_name(owner.name))


def record_name(service: str) -> str:
    """Returns the name of the ConfigMap."""
    return naming.child_name(service, _SUFFIX)
