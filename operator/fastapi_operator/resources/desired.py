"""A desired object: its body, and how and when it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from fastapi_operator.parts import Part


class Write(StrEnum):
    """How an object is written.

    APPLY is server-side apply if the live object differs. CREATE_ONCE is one POST and no second
    write: generated credentials, data volumes, migration Jobs.
    """

    APPLY = "Apply"
    CREATE_ONCE = "CreateOnce"


class Gate(StrEnum):
    """The precondition of a write."""

    NONE = "None"
    DATABASE = "Database"
    # Open unless the image must be checked first; a migration waits for it as well.
    CHECKED = "Checked"
    MIGRATED = "Migrated"
    # Behind MIGRATED as well: open unless a canary must be promoted first.
    PROMOTED = "Promoted"


# The keys of a generated Secret with the active user, if two users alternate.
USERNAME, PASSWORD = "username", "password"


class ObjectKey(NamedTuple):
    """The identity of a namespaced object; group is empty for the core API."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Generated:
    """Values of a Secret that are generated when it is written, so that no builder sees them.

    Attributes:
        passwords: Keys that each get a new random password (URL-safe characters only).
        templates: Further keys; ``{key}`` in the text is replaced by the password of that key.
        alternating: Two of the passwords' keys, each the name of a user. The keys ``username``
            and ``password`` hold the active one; a rotation activates the other.
    """

    passwords: tuple[str, ...]
    templates: Mapping[str, str] = field(default_factory=dict)
    alternating: tuple[str, str] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys of the Secret."""
        in_use = (USERNAME, PASSWORD) if self.alternating else ()
        return (*self.passwords, *in_use, *self.templates)


@dataclass(frozen=True)
class Desired:
    """One object of a service's desired state.

    Attributes:
        part: The part that is ready only if this object is.
        body: The whole object as it is applied, without owner reference; frozen by convention.
        write: Applied again on drift, or created once.
        gate: The precondition of its write.
        retain: Whether it has no owner reference and stays when the service is deleted.
        generate: Values of a Secret that are generated when it is written; needs CREATE_ONCE.
        hands_over_replicas: Whether ``spec.replicas`` is left to an autoscaler that owns it.
        blocked_by: An object that conflicts with it and must be deleted before it is written.
        requested_hash: A hash of the user's fields about it. If a change replaces its pods but
            not this hash, it waits for an approval; empty if no approval is needed.
        is_default: Whether the size of a volume is a default, of a profile for example, and not
            requested by the spec. An existing volume takes precedence over a default.
    """

    part: Part
    body: Mapping[str, Any]
    write: Write = Write.APPLY
    gate: Gate = Gate.NONE
    retain: bool = False
    generate: Generated | None = None
    hands_over_replicas: bool = False
    blocked_by: ObjectKey | None = None
    requested_hash: str = ""
    is_default: bool = False

    @property
    def pod_template(self) -> Mapping[str, Any] | None:
        """The template of its pods; None if it has none."""
        spec = self.body.get("spec") or {}
        if self.body["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        template: Mapping[str, Any] | None = spec.get("template")
        return template if template and "containers" in (template.get("spec") or {}) else None

    @cached_property
    def key(self) -> ObjectKey:
        """The identity of the object."""
        metadata = self.body["metadata"]
        api_version: str = self.body["apiVersion"]
        group = api_version.rpartition("/")[0]
        return ObjectKey(group, self.body["kind"], metadata["namespace"], metadata["name"])
