"""What waits: for somebody's approval of a database restart, or for a turn to roll out. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.status import MOST_PENDING, Pending, TunedValue
from fastapi_operator.cluster.kinds import CONFIG_MAP, SECRET
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.reading import WORKLOADS
from fastapi_operator.reconcile.plan.steps import Step, Steps

# Sizes flow outwards from the database: while it waits, so does the pooler.
_DATABASE = ("database.", "pooler.")
_DATABASE_PARTS = (Part.DATABASE, Part.POOLER)
# The first entry of a service that rolls out what the operator alone changes.
_TURN = Pending(
    name="rollout",
    reason="the operator's new version rolls out here; others wait until this service is Ready",
)
_WORKLOADS = frozenset(kind.kind for kind in WORKLOADS)


@dataclass(frozen=True)
class Held:
    """A write that waits.

    Attributes:
        step: The write.
        approval: What the approval annotation must say; None where it waits for its turn.
    """

    step: Step
    approval: str | None = None


def hold_restarts(steps: Steps, *, agreed: str) -> tuple[Steps, tuple[Held, ...]]:
    """Takes out what would restart a database although its own fields ask for nothing new.

    Args:
        steps: What a pass would do.
        agreed: The approval annotation of the service.
    """
    for step in steps.before:
        unasked = step.child is not None and step.child.asked == step.sealed.desired.requested_hash
        if step.why == "changed" and step.sealed.desired.requested_hash and unasked:
            wanted = approval(step)
            if agreed != wanted:
                return _without(
                    steps, lambda item: item.sealed.desired.part in _DATABASE_PARTS, wanted
                )
    return steps, ()


def hold_rollout(steps: Steps) -> tuple[Steps, tuple[Held, ...]]:
    """Takes out all changes; what is missing or was edited is still repaired."""
    return _without(steps, lambda _: True, None)


def changes_workloads(steps: Steps) -> bool:
    """Whether pods would be replaced because something else is wanted."""
    return any(
        step.why == "changed" and step.key.kind in _WORKLOADS
        for step in (*steps.before, *steps.after)
    )


def _without(
    steps: Steps, waits: Callable[[Step], bool], wanted: str | None
) -> tuple[Steps, tuple[Held, ...]]:
    def held(step: Step) -> bool:
        return step.why == "changed" and waits(step)

    found = tuple(Held(step, wanted) for step in (*steps.before, *steps.after) if held(step))
    # The old pods go on, and so must what they mount.
    mounted = (CONFIG_MAP.kind, SECRET.kind)
    kept = replace(
        steps,
        before=tuple(step for step in steps.before if not held(step)),
        after=tuple(step for step in steps.after if not held(step)),
        deletes=tuple(child for child in steps.deletes if child.key.kind not in mounted)
        if found
        else steps.deletes,
    )
    return kept, found


def with_turn(status: Mapping[str, Any]) -> dict[str, Any]:
    """A stored status that also says that the service has its turn."""
    others = [item for item in status.get("pending") or () if item["name"] != _TURN.name]
    return {**status, "pending": [_TURN.model_dump(), *others][:MOST_PENDING]}


def has_turn(status: Mapping[str, Any]) -> bool:
    """Whether a stored status says so."""
    return any(item["name"] == _TURN.name for item in status.get("pending") or ())


def in_force(
    held: Sequence[Held], tuned: Sequence[TunedValue], before: Mapping[str, Any]
) -> tuple[TunedValue, ...]:
    """The headline values with those of held parts as they were."""
    old = _old(before)
    return tuple(
        old[value.name] if _waits(value, held) and value.name in old else value for value in tuned
    )


def pending(
    held: Sequence[Held],
    tuned: Iterable[TunedValue],
    before: Mapping[str, Any],
    service: str,
    *,
    turn: bool = False,
    others: Sequence[Pending] = (),
) -> tuple[Pending, ...]:
    """One entry an object that waits, and one a headline value that would change with it.

    Where the service has its turn, that comes first; other entries follow.
    """
    old = _old(before)
    objects = [
        Pending(name=f"{item.step.key.kind} {item.step.key.name}", reason=_why(item, service))
        for item in held
    ]
    values = [
        Pending(name=value.name, reason=f"{old[value.name].value} becomes {value.value}")
        for value in tuned
        if _waits(value, held) and value.name in old and old[value.name].value != value.value
    ]
    return (*((_TURN,) if turn else ()), *others, *objects, *values)[:MOST_PENDING]


def approval(step: Step) -> str:
    """What the approval annotation must say to let this change through, and no later one."""
    return step.sealed.digest[:8]


def _why(item: Held, service: str) -> str:
    if item.approval is None:
        return "the operator's new version changes it; it waits for its turn among the services"
    return (
        "the operator's new version or settings change it, which restarts the database; agree "
        f"with: kubectl annotate fas {service} {naming.APPROVE_ANNOTATION}={item.approval} "
        "--overwrite"
    )


def _waits(value: TunedValue, held: Sequence[Held]) -> bool:
    if any(item.approval is None for item in held):
        return True
    return bool(held) and value.name.startswith(_DATABASE)


def _old(before: Mapping[str, Any]) -> dict[str, TunedValue]:
    values = (TunedValue.model_validate(item) for item in before.get("tuning") or ())
    return {value.name: value for value in values}
