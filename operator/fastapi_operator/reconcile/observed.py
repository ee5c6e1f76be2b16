"""What is known of a service's live objects: digests and health, never a body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fastapi_operator.resources.desired import ObjectKey


class Health(NamedTuple):
    """Whether an object does its work, and if not, why."""

    ready: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Child:
    """A live object of a service.

    Attributes:
        key: Its identity.
        uid: Its uid, a precondition of its deletion.
        owner_uid: The uid of its controller owner; None for retained objects.
        service: The service its label names.
        live_digest: Digest of the live object projected on the fields that we own.
        wanted_digest: ``live_digest`` as it was right after our last write; None before one.
        desired_digest: Digest of the body that this last write sent; None before one.
        health: What its status says.
    """

    key: ObjectKey
    uid: str
    owner_uid: str | None
    service: str
    live_digest: str
    wanted_digest: str | None
    desired_digest: str | None
    health: Health


@dataclass(frozen=True)
class ReleaseRecord:
    """The ControllerRevision ``NAME-release``: proof of what was migrated and released.

    Attributes:
        spec: The last released spec as the user wrote it.
        migrated: Keys of migrations that once succeeded, oldest first.
    """

    spec: Mapping[str, object]
    migrated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """A service's live objects at the start of a pass."""

    children: Mapping[ObjectKey, Child] = field(default_factory=dict)
    release: ReleaseRecord | None = None
