"""A wanted object: its body, and how and when it may be written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from fastapi_operator.parts import Part


class Write(StrEnum):
    """How an object is written.

    APPLY is server-side apply whenever the live object differs. CREATE_ONCE is one POST and
    never a second write: generated credentials, data volumes, migration Jobs.
    """

    APPLY = "Apply"
    CREATE_ONCE = "CreateOnce"


class Gate(StrEnum):
    """What must have happened before an object is written."""

    NONE = "None"
    DATABASE = "Database"
    MIGRATED = "Migrated"


# The keys of a generated Secret for the user in use, where two alternate.
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
    """Values of a Secret that are made at write time, so that no builder ever sees them.

    Attributes:
        passwords: Keys that each get a fresh random password (URL-safe characters only).
        templates: Further keys; ``{key}`` in the text stands for the password of that key.
        alternating: Two of the passwords' keys, each the name of a user. The keys ``username``
            and ``password`` are of the one in use; a rotation changes them over.
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
    """One object that a service wants.

    Attributes:
        part: The part whose readiness it decides.
        body: The whole object as it is applied, without owner reference; frozen by convention.
        write: Applied again on drift, or created once.
        gate: What must be done before it is written.
        retain: Carries no owner reference: it outlives the service (volumes, credentials).
        generate: Values of a Secret made at write time; needs CREATE_ONCE.
        hands_over_replicas: ``spec.replicas`` belongs to an autoscaler once one owns it.
        after: An object that would get in its way, and must be gone before it is written.
        asked: A hash of what the user says about it. A change that replaces its pods although
            this stays the same waits for an approval; empty where it need not.
    """

    part: Part
    body: Mapping[str, Any]
    write: Write = Write.APPLY
    gate: Gate = Gate.NONE
    retain: bool = False
    generate: Generated | None = None
    hands_over_replicas: bool = False
    after: ObjectKey | None = None
    asked: str = ""

    @cached_property
    def key(self) -> ObjectKey:
        """The identity of the object."""
        metadata = self.body["metadata"]
        api_version: str = self.body["apiVersion"]
        group = api_version.rpartition("/")[0]
        return ObjectKey(group, self.body["kind"], metadata["namespace"], metadata["name"])
