"""The facts that are kept of a service's live objects: digests and health, never a body."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Self

from fastapi_operator import naming
from fastapi_operator.reconcile.observe.attempt import Attempt
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord
from fastapi_operator.reconcile.observe.claims import Rival
from fastapi_operator.reconcile.observe.preflight_report import PreflightReport
from fastapi_operator.reconcile.observe.references import Stamp, Values
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord
from fastapi_operator.resources.desired import ObjectKey


class Health(NamedTuple):
    """Whether an object is ready, and the reason if it is not."""

    ready: bool
    reason: str = ""
    message: str = ""
    failed: bool = False


class Replicas(NamedTuple):
    """The replicas of a workload.

    Attributes:
        wanted: ``spec.replicas`` of the live object.
        ours: Whether the operator's field manager lists that field.
        live: Pods that exist, from its status.
        updated: Pods of the newest revision.
        available: Pods that serve, of any revision.
        available_since: When enough pods of a Deployment became available, RFC 3339; else empty.
    """

    wanted: int
    ours: bool
    live: int
    updated: int = 0
    available: int = 0
    available_since: str = ""


class Phase(StrEnum):
    """The phase of a rotation.

    SWITCHED: the other user is in use. REPLACED: all pods use it. CLOSED: the former user has
    another password, which is not in use.
    """

    SWITCHED = "Switched"
    REPLACED = "Replaced"
    CLOSED = "Closed"


class Rotation(NamedTuple):
    """The last rotation of a Secret's credentials, as an annotation of the Secret records it.

    Attributes:
        request: The value of the service's annotation that requested it.
        phase: Its phase.
        since: When that phase began, in seconds since 1970.
    """

    request: str
    phase: Phase
    since: int

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self | None:
        """Returns the rotation of a live Secret; None if the annotation is missing or invalid."""
        text = (body["metadata"].get("annotations") or {}).get(naming.ROTATION_ANNOTATION)
        try:
            request, phase, since = json.loads(text or "[]")
            return cls(str(request), Phase(phase), int(since))
        except (TypeError, ValueError):
            return None

    @property
    def text(self) -> str:
        """The value of the annotation."""
        return json.dumps(self)


@dataclass(frozen=True, slots=True)
class Child:
    """A live object of a service.

    Attributes:
        key: Its identity.
        uid: Its uid, the precondition of its deletion.
        owner_uid: The uid of its controller owner; None for retained objects.
        service: The service that its label names.
        live_digest: Digest of the live object projected on the fields that the operator owns.
        expected_live_digest: ``live_digest`` right after the operator's last write; another
            ``live_digest`` is drift. None if this process has neither written the object nor
            compared it with the desired body.
        last_applied_digest: Digest of the body that the last write sent; None before the first.
            It is read from an annotation, so that a restarted operator writes nothing.
        health: Its health, from its status.
        version: Its resourceVersion, which shows whether a watch event is outdated.
        created: Its creationTimestamp, which orders migration Jobs.
        changed: When the operator's fields of a ConfigMap or HTTPRoute last changed, RFC 3339;
            empty for other kinds.
        deleting: Whether it has a deletionTimestamp, or the operator has deleted it.
        replicas: Replicas of a workload, which no digest includes; None for other kinds.
        owned_fields: Hashes of the paths of the fields that the operator owns; kept only until
            they are compared with the desired body for the first time.
        stamp: The values that its pods read when they started; None if it is not a workload.
        requested_hash: Digest of the spec fields that it was built from; None for most objects.
        rotation: The last rotation of its credentials; None for most objects.
        attempt: The facts of a migration Job; None for other kinds.
        preflight: The key of the image that the Job of a preflight checks; None for other objects.
        overridden: Fields that had another value in the response to the operator's last write:
            an admission policy changed them.
        canary: The canary's record in it; None for other objects.
        tuning: What automatic tuning remembers in it; None for other objects.
    """

    key: ObjectKey
    uid: str
    owner_uid: str | None
    service: str
    live_digest: str
    expected_live_digest: str | None
    last_applied_digest: str | None
    health: Health
    version: int = 0
    created: str = ""
    changed: str = ""
    deleting: bool = False
    replicas: Replicas | None = None
    owned_fields: frozenset[int] | None = None
    stamp: Stamp | None = None
    requested_hash: str | None = None
    rotation: Rotation | None = None
    attempt: Attempt | None = None
    preflight: str | None = None
    overridden: tuple[str, ...] = ()
    canary: CanaryRecord | None = None
    tuning: TuningRecord | None = None

    @property
    def age(self) -> tuple[str, str, str]:
        """The order of objects by their age; the oldest is the first."""
        return self.created, self.key.namespace, self.key.name

    def can_belong_to(self, service_uid: str) -> bool:
        """Whether it is an object of that service, or retained for it.

        An object of a deleted service of the same name is not: the garbage collector is about to
        delete it.
        """
        return self.owner_uid in (None, service_uid)


@dataclass(frozen=True)
class ReleaseRecord:
    """The newest ControllerRevision of a service: proof of its migrations and its release.

    Attributes:
        spec: The last released spec as the user wrote it.
        migrated: Keys of migrations that have succeeded, oldest first.
        revision: Counter, one higher with each record.
        database: The keyed hash of the database that was migrated last; None if the record is of
            an older operator, or if no migration has succeeded.
        volumes: The uid of each object that holds data, by kind and name.
    """

    spec: Mapping[str, object]
    migrated: tuple[str, ...] = ()
    revision: int = 0
    database: str | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Returns the record in a ControllerRevision."""
        data = body.get("data") or {}
        return cls(
            spec=data.get("spec") or {},
            migrated=tuple(data.get("migrated") or ()),
            revision=int(body.get("revision", 0)),
            database=data.get("database"),
            volumes=data.get("volumes") or {},
        )

    @property
    def data(self) -> dict[str, Any]:
        """The data of its ControllerRevision."""
        return {
            "spec": dict(self.spec),
            "migrated": list(self.migrated),
            **({"database": self.database} if self.database else {}),
            **({"volumes": dict(self.volumes)} if self.volumes else {}),
        }


@dataclass(frozen=True)
class Observed:
    """A service's live objects when its reconciliation starts.

    Attributes:
        children: Its objects.
        release: Its newest release record.
        values: All Secrets and ConfigMaps that are watched, of any owner.
        unwatched: Secrets that are not watched, as they were when they were last read.
        elsewhere: Unfinished migration Jobs of other services on external databases.
        orphans: The names of pods that migrate although their Job is gone.
        rivals: The hosts and paths that an older object of another service claims as well.
        preflight: The report of the preflight that this process has read last.
    """

    children: Mapping[ObjectKey, Child] = field(default_factory=dict)
    release: ReleaseRecord | None = None
    values: Mapping[ObjectKey, Values] = field(default_factory=dict)
    unwatched: Mapping[ObjectKey, Values] = field(default_factory=dict)
    elsewhere: tuple[Child, ...] = ()
    orphans: tuple[str, ...] = ()
    rivals: tuple[Rival, ...] = ()
    preflight: PreflightReport | None = None

    def canary(self, service_uid: str) -> CanaryRecord | None:
        """Returns the record of the service's canary; None without one."""
        children = self._alive(service_uid)
        return next((child.canary for child in children if child.canary is not None), None)

    def tuning(self, service_uid: str) -> TuningRecord | None:
        """Returns what automatic tuning remembers of the service; None without a record."""
        children = self._alive(service_uid)
        return next((child.tuning for child in children if child.tuning is not None), None)

    def _alive(self, service_uid: str) -> Iterator[Child]:
        return (
            child
            for child in self.children.values()
            if child.owner_uid == service_uid and not child.deleting
        )
