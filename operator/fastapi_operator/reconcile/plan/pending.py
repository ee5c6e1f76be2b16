"""Writes that are held: until a database restart is approved, or until a rollout slot is free."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.status import MOST_PENDING, Pending, TunedValue
from fastapi_operator.cluster.kinds import CONFIG_MAP, SECRET
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.reading import WORKLOADS
from fastapi_operator.reconcile.plan.steps import Step, Steps

# The pooler's sizes follow from the database: while the database is held, so is the pooler.
_DATABASE = ("database.", "pooler.")
_DATABASE_PARTS = (Part.DATABASE, Part.POOLER)
# The first entry of a service that rolls out a change of the operator.
_SLOT = Pending(
    name="rollout",
    reason="the operator's new version rolls out; other services wait until this one is Ready",
)
_WORKLOADS = frozenset(kind.kind for kind in WORKLOADS)


@dataclass(frozen=True)
class HeldWrite:
    """A write that is held.

    Attributes:
        step: The write.
        approval: The required value of the approval annotation; None if it waits for a slot.
    """

    step: Step
    approval: str | None = None


def hold_restarts(steps: Steps, *, approved: str) -> tuple[Steps, tuple[HeldWrite, ...]]:
    """Takes out writes that restart a database although its own spec fields did not change.

    Args:
        steps: The planned steps.
        approved: The approval annotation of the service.
    """
    for step in steps.before_release:
        digest = step.owned.desired.requested_hash
        unrequested = step.child is not None and step.child.requested_hash == digest
        if step.why == "changed" and digest and unrequested:
            required = approval(step)
            if approved != required:
                return _without(
                    steps, lambda item: item.owned.desired.part in _DATABASE_PARTS, required
                )
    return steps, ()


def hold_rollout(steps: Steps) -> tuple[Steps, tuple[HeldWrite, ...]]:
    """Takes out all changes; missing or edited objects are still repaired.

    Those of a canary are not taken out: the end of its share must not wait for other services.
    """
    return _without(steps, lambda step: step.owned.desired.part is not Part.CANARY, None)


def changes_workloads(steps: Steps) -> bool:
    """Whether other pods than those of a canary would be replaced by a changed desired state."""
    return any(
        step.why == "changed"
        and step.key.kind in _WORKLOADS
        and step.owned.desired.part is not Part.CANARY
        for step in steps.writes
    )


def _without(
    steps: Steps, waits: Callable[[Step], bool], required: str | None
) -> tuple[Steps, tuple[HeldWrite, ...]]:
    def held(step: Step) -> bool:
        return step.why == "changed" and waits(step)

    found = tuple(HeldWrite(step, required) for step in steps.writes if held(step))
    # The old pods stay, and so must the objects that they mount.
    mounted = (CONFIG_MAP.kind, SECRET.kind)
    kept = replace(
        steps,
        before_release=tuple(step for step in steps.before_release if not held(step)),
        after_release=tuple(step for step in steps.after_release if not held(step)),
        deletes=tuple(child for child in steps.deletes if child.key.kind not in mounted)
        if found
        else steps.deletes,
    )
    return kept, found


def with_slot(status: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a stored status with the entry that the service has a rollout slot."""
    others = [item for item in status.get("pending") or () if item["name"] != _SLOT.name]
    return {**status, "pending": [_SLOT.model_dump(), *others][:MOST_PENDING]}


def has_slot(status: Mapping[str, Any]) -> bool:
    """Whether a stored status has the entry of a rollout slot."""
    return any(item["name"] == _SLOT.name for item in status.get("pending") or ())


def keep_held_values(
    held: Sequence[HeldWrite], tuned: Sequence[TunedValue], before: Mapping[str, Any]
) -> tuple[TunedValue, ...]:
    """Returns the headline values, with the previous ones for held parts."""
    old = _previous(before)
    return tuple(
        old[value.name] if _waits(value, held) and value.name in old else value for value in tuned
    )


def pending(
    held: Sequence[HeldWrite],
    tuned: Iterable[TunedValue],
    before: Mapping[str, Any],
    service: str,
    *,
    has_slot: bool = False,
    others: Sequence[Pending] = (),
) -> tuple[Pending, ...]:
    """Returns an entry for each held object, and for each headline value that would change.

    If the service has a rollout slot, that entry comes first; other entries follow it.
    """
    old = _previous(before)
    objects = [
        Pending(name=f"{item.step.key.kind} {item.step.key.name}", reason=_why(item, service))
        for item in held
    ]
    values = [
        Pending(name=value.name, reason=f"{old[value.name].value} becomes {value.value}")
        for value in tuned
        if _waits(value, held) and value.name in old and old[value.name].value != value.value
    ]
    return (*((_SLOT,) if has_slot else ()), *others, *objects, *values)[:MOST_PENDING]


def approval(step: Step) -> str:
    """Returns the value of the approval annotation that approves this change and no other."""
    return step.owned.built_digest[:8]


def _why(item: HeldWrite, service: str) -> str:
    if item.approval is None:
        return "the operator's new version changes it; the rollout waits for other services"
    return (
        "the operator's new version or settings change it, which restarts the database; to "
        f"approve, run: kubectl annotate fas {service} -n {item.step.key.namespace} "
        f"{naming.APPROVE_ANNOTATION}={item.approval} --overwrite"
    )


def _waits(value: TunedValue, held: Sequence[HeldWrite]) -> bool:
    if any(item.approval is None for item in held):
        return True
    return bool(held) and value.name.startswith(_DATABASE)


def _previous(before: Mapping[str, Any]) -> dict[str, TunedValue]:
    values = (TunedValue.model_validate(item) for item in before.get("tuning") or ())
    return {value.name: value for value in values}
