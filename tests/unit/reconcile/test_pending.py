"""Writes that wait for an approval or a slot, and their entries in the status."""

from dataclasses import replace

from fastapi_operator.api.status import MOST_PENDING, TunedValue
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.plan import pending
from fastapi_operator.reconcile.plan.owned_object import make_owned
from fastapi_operator.reconcile.plan.steps import Action, Step, Steps
from fastapi_operator.resources.desired import Desired
from tests.unit.reconcile.worlds import OWNER, child, desired

DATABASE = desired("StatefulSet", "shop-db", Part.DATABASE, requested_hash="1")
POOLER = desired("Deployment", "shop-pooler", Part.POOLER)
APP = desired("Deployment", "shop")


def change(item: Desired, requested_hash: str | None = None, why: str = "changed") -> Step:
    return Step(
        Action.APPLY, make_owned(item, OWNER), child(item, requested_hash=requested_hash), why
    )


def held_names(held: tuple[pending.HeldWrite, ...]) -> list[str]:
    return [item.step.key.name for item in held]


def test_an_unrequested_restart_is_held_together_with_the_pooler() -> None:
    old = child(desired("ConfigMap", "shop-db-old"))
    steps = Steps(
        before_release=(change(DATABASE, "1"), change(POOLER)), after_release=(change(APP),)
    )
    kept, held = pending.hold_restarts(replace(steps, deletes=(old,)), approved="")
    assert held_names(held) == ["shop-db", "shop-pooler"]
    assert kept.before_release == ()
    assert kept.after_release == steps.after_release
    assert kept.deletes == (), "the old pod still mounts its old configuration"


def test_an_approval_releases_only_its_own_change() -> None:
    step = change(DATABASE, "1")
    steps = Steps(before_release=(step,))
    assert pending.hold_restarts(steps, approved=pending.approval(step)) == (steps, ())
    _, held = pending.hold_restarts(steps, approved="00000000")
    assert held_names(held) == ["shop-db"]


def test_requested_changes_and_repairs_are_not_held() -> None:
    for step in (change(DATABASE, "0"), change(DATABASE, None), change(DATABASE, "1", "drift")):
        assert pending.hold_restarts(Steps(before_release=(step,)), approved="") == (
            Steps(before_release=(step,)),
            (),
        )


def test_without_a_slot_changes_are_held_and_repairs_are_not() -> None:
    repair = change(desired("Service", "shop"), why="drift")
    kept, held = pending.hold_rollout(
        Steps(before_release=(repair, change(POOLER)), after_release=(change(APP),))
    )
    assert kept.before_release == (repair,)
    assert held_names(held) == ["shop-pooler", "shop"]


def test_the_end_of_a_canary_s_share_does_not_wait_for_a_slot() -> None:
    closed = change(desired("Service", "shop-canary-pods", Part.CANARY))
    kept, held = pending.hold_rollout(Steps(before_release=(closed,), after_release=(change(APP),)))
    assert kept.before_release == (closed,)
    assert held_names(held) == ["shop"]


def tuned(name: str, value: int) -> TunedValue:
    return TunedValue(name=name, value=value, reason="because", source="derived")


def test_held_values_are_reported_with_their_current_and_future_value() -> None:
    before = {"tuning": [tuned("database.max_connections", 100).model_dump(by_alias=True)]}
    new = (tuned("database.max_connections", 200), tuned("server.threads", 40))
    _, held = pending.hold_restarts(Steps(before_release=(change(DATABASE, "1"),)), approved="")
    shown = pending.keep_held_values(held, new, before)
    assert [value.value for value in shown] == [100, 40]
    entry, value = pending.pending(held, new, before, "shop")
    assert "fastapi-operator.io/approve=" in entry.reason
    assert (value.name, value.reason) == ("database.max_connections", "100 becomes 200")
    assert pending.keep_held_values((), new, before) == new


def test_the_slot_is_the_first_entry_and_entries_are_limited() -> None:
    waiting = (desired("ConfigMap", f"shop-{number}") for number in range(20))
    held = tuple(pending.HeldWrite(change(item)) for item in waiting)
    found_text = pending.pending(held, (), {}, "shop", has_slot=True)
    assert [item.name for item in found_text[:2]] == ["rollout", "ConfigMap shop-0"]
    assert len(found_text) == MOST_PENDING
    without = {"pending": [item.model_dump() for item in found_text[1:]]}
    assert not pending.has_slot(without)
    status = pending.with_slot(without)
    assert pending.has_slot(status)
    assert pending.with_slot(status) == status
