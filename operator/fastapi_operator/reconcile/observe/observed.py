"""What is known of a service's live objects: digests and health, never a body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Self

from fastapi_operator import naming
from fastapi_operator.reconcile.observe.references import Stamp, Values
from fastapi_operator.resources.desired import ObjectKey


class Health(NamedTuple):
    """Whether an object does its work, and if not, why."""

    ready: bool
    reason: str = ""
    message: str = ""
    failed: bool = False


class Replicas(NamedTuple):
    """The replicas of a workload.

    Attributes:
        wanted: ``spec.replicas`` of the live object.
        ours: Whether our own field manager lists that field.
        live: Pods that exist, from its status.
    """

    wanted: int
    ours: bool
    live: int


class Phase(StrEnum):
    """How far a rotation is.

    SWITCHED: the other user is in use. REPLACED: all pods know it. CLOSED: the former user has
    another password, which nobody uses.
    """

    SWITCHED = "Switched"
    REPLACED = "Replaced"
    CLOSED = "Closed"


class Rotation(NamedTuple):
    """The last rotation of a Secret's credentials, as an annotation of it says.

    Attributes:
        wish: What the service's annotation said.
        phase: How far it is.
        since: When that was written, in seconds since 1970.
    """

    wish: str
    phase: Phase
    since: int

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self | None:
        """The rotation of a live Secret; None where there was none, or somebody wrote there."""
        text = (body["metadata"].get("annotations") or {}).get(naming.ROTATION_ANNOTATION)
        try:
            wish, phase, since = json.loads(text or "[]")
            return cls(str(wish), Phase(phase), int(since))
        except (TypeError, ValueError):
            return None

    @property
    def text(self) -> str:
        """The annotation."""
        return json.dumps(self)


@dataclass(frozen=True, slots=True)
class Child:
    """A live object of a service.

    Attributes:
        key: Its identity.
        uid: Its uid, a precondition of its deletion.
        owner_uid: The uid of its controller owner; None for retained objects.
        service: The service its label names.
        live_digest: Digest of the live object projected on the fields that we own.
        wanted_digest: ``live_digest`` as it was right after our last write; None where this
            process neither wrote the object nor compared it with what is wanted.
        desired_digest: Digest of the body that our last write sent; None before one. It stands
            in an annotation of the object, so that a restarted operator writes nothing.
        health: What its status says.
        version: Its resourceVersion, by which a late watch event is told from a new one.
        created: Its creationTimestamp, which orders migration Jobs.
        deleting: It has a deletionTimestamp, or we asked for its deletion.
        replicas: Replicas of a workload, kept out of the digests; None for other kinds.
        owned: Hashes of the paths of the fields that we own; kept only until the first pass
            has compared them with the wanted body.
        stamp: What its pods read when they started; None where it is no workload.
        asked: The hash of what its user said about it when it was written; None for most.
        rotation: The last rotation of its credentials; None for most.
    """

    key: ObjectKey
    uid: str
    owner_uid: str | None
    service: str
    live_digest: str
    wanted_digest: str | None
    desired_digest: str | None
    health: Health
    version: int = 0
    created: str = ""
    deleting: bool = False
    replicas: Replicas | None = None
    owned: frozenset[int] | None = None
    stamp: Stamp | None = None
    asked: str | None = None
    rotation: Rotation | None = None


@dataclass(frozen=True)
class ReleaseRecord:
    """The newest ControllerRevision of a service: proof of what was migrated and released.

    Attributes:
        spec: The last released spec as the user wrote it.
        migrated: Keys of migrations that once succeeded, oldest first.
        revision: Counter, one higher with each record.
    """

    spec: Mapping[str, object]
    migrated: tuple[str, ...] = ()
    revision: int = 0

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """The record in a ControllerRevision."""
        data = body.get("data") or {}
        return cls(
            spec=data.get("spec") or {},
            migrated=tuple(data.get("migrated") or ()),
            revision=int(body.get("revision", 0)),
        )

    @property
    def data(self) -> dict[str, Any]:
        """The data of its ControllerRevision."""
        return {"spec": dict(self.spec), "migrated": list(self.migrated)}


@dataclass(frozen=True)
class Observed:
    """A service's live objects at the start of a pass.

    Attributes:
        children: Its objects.
        release: Its newest release record.
        values: Secrets and ConfigMaps that are watched, whosever they are.
    """

    children: Mapping[ObjectKey, Child] = field(default_factory=dict)
    release: ReleaseRecord | None = None
    values: Mapping[ObjectKey, Values] = field(default_factory=dict)
