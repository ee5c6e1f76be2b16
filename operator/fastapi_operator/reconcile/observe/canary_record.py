"""The record of a canary: a ConfigMap ``NAME-canary`` with all that decides the next step.

It is the only memory of a canary. Each transition is one write of this object with its
resourceVersion as precondition, before anything else is written, so that an operator that was
killed continues where the record is, and two operators never continue from the same record.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from fastapi_operator import naming
from fastapi_operator.judge.verdict import Action
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.record_body import record_body
from fastapi_operator.resources.desired import ObjectKey

DATA_KEY = "canary.json"
_SUFFIX = "canary"
# People may edit the object. Other values would stop each reconciliation of the service.
_Count = Annotated[int, Field(ge=0, le=10**6)]
# Up to the year 9999.
_Seconds = Annotated[int, Field(ge=0, lt=253_402_300_800)]
# It is a label's value, and a word in the configuration of nginx.
_Id = Annotated[str, Field(pattern="^[0-9a-f]{8}$")]


class Phase(StrEnum):
    """The state of a canary.

    STARTING: its pods start and get no requests. PROGRESSING: it has the share of its step.
    HOLDING: it waits for a person. PROMOTING: its spec is released and the app rolls out. ENDING:
    it has no share; its objects are removed when no proxy knows them. ABORTED: its objects are
    gone, and its spec is not released.
    """

    STARTING = "Starting"
    PROGRESSING = "Progressing"
    HOLDING = "Holding"
    PROMOTING = "Promoting"
    ENDING = "Ending"
    ABORTED = "Aborted"


class Outcome(StrEnum):
    """Why a canary ends. WITHDRAWN: its spec is no longer requested."""

    PROMOTED = "Promoted"
    ABORTED = "Aborted"
    WITHDRAWN = "Withdrawn"


@dataclass(frozen=True)
class Figures:
    """The figures of one version since the canary began.

    Attributes:
        requests: Requests that were assigned to it.
        errors: Those of them that failed on the server's side.
        p95_milliseconds: The 95th percentile of their durations; None if there are too few.
    """

    requests: int = 0
    errors: int = 0
    p95_milliseconds: int | None = None


@dataclass(frozen=True)
class Look:
    """The last look at both versions, and the judge's verdict.

    Attributes:
        action: The verdict.
        evidence: Its reason with figures, in a sentence.
        at: When the metrics were read, in seconds since 1970.
        canary: Figures of the new version.
        stable: Figures of the released version.
        ledger: The judge's ledger, as JSON data.
        gain: Why the new version is better, with figures; empty if it is not shown.
        lacks_requests: Whether the verdict waits for requests alone.
    """

    action: Action = Action.WAIT
    evidence: str = ""
    at: _Seconds = 0
    canary: Figures = Figures()
    stable: Figures = Figures()
    ledger: Mapping[str, Any] = field(default_factory=dict)
    gain: str = ""
    lacks_requests: bool = False

    @property
    def is_readable(self) -> bool:
        """Whether the requests of both versions could be counted."""
        return bool(self.at) and self.action is not Action.HOLD


@dataclass(frozen=True)
class CanaryRecord:
    """The state of a canary.

    Attributes:
        template: The hash of the app's pod template that it runs.
        spec: The hash of the spec that it runs.
        id: Identifies this attempt in metrics, in requests of people and in ``status``.
        image: The image that it runs.
        phase: Its state.
        since: When the phase or the step began, in seconds since 1970.
        step: The number of the step whose share it has, from 1; 0 before the first one.
        pods: The pods that it needs.
        replaces: Whether objects of an earlier canary existed when it began.
        failed: Whether it holds because it failed; then no client is assigned to it.
        unready_since: When its pods became unready; 0 while they are ready.
        outcome: Why it ends; None before.
        reason: The reason of that in one CamelCase word.
        message: The reason in a sentence.
        restart: The service's request to restart its pods when it began; later ones wait.
        rotate: The service's request to rotate its credentials when it began; later ones wait.
        trial: The numbers that it tries, in a sentence; empty if it runs another spec.
        steps: The shares of a trial, in percent; empty if they are those of the spec.
        look: The last look at both versions.
    """

    template: str
    spec: str
    id: _Id
    image: str
    phase: Phase
    since: _Seconds
    step: _Count = 0
    pods: _Count = 1
    replaces: bool = False
    failed: bool = False
    unready_since: _Seconds = 0
    outcome: Outcome | None = None
    reason: str = ""
    message: str = ""
    restart: str = ""
    rotate: str = ""
    trial: str = ""
    steps: tuple[_Count, ...] = ()
    look: Look = Look()

    @property
    def text(self) -> str:
        """The record as JSON."""
        return _adapter().dump_json(self).decode()

    @classmethod
    def parse(cls, text: str) -> "CanaryRecord | None":
        """Returns the record in a JSON text; None if the text is not one."""
        try:
            return _adapter().validate_json(text)
        except ValidationError:
            return None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "CanaryRecord | None":
        """Returns the record in a live ConfigMap; None if it has none."""
        text = (body.get("data") or {}).get(DATA_KEY)
        return cls.parse(text) if isinstance(text, str) else None

    def to_body(self, owner: Owner) -> dict[str, Any]:
        """Returns the ConfigMap with this record."""
        return record_body(record_key(owner), owner, {DATA_KEY: self.text}, part=Part.CANARY)


@functools.cache
def _adapter() -> TypeAdapter[CanaryRecord]:
    return TypeAdapter(CanaryRecord)


def record_key(owner: Owner) -> ObjectKey:
    """Returns the identity of the record of a service."""
    return ObjectKey("", "ConfigMap", owner.namespace, naming.child_name(owner.name, _SUFFIX))


def is_record_name(service: str, name: str) -> bool:
    """Whether a ConfigMap has the name of a service's record."""
    return name == naming.child_name(service, _SUFFIX)


def belongs_to_canary(owner: Owner, key: ObjectKey) -> bool:
    """Whether an object of a service is the Deployment or the Service of its canary, by name."""
    name = naming.child_name(owner.name, _SUFFIX)
    is_named = key.name == name or key.name.startswith(f"{name}-")
    return is_named and key.kind in ("Deployment", "Service")
