"""What waits for an approval or a turn, and how the status says so."""

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


def test_a_restart_that_nobody_asked_for_waits_and_its_pooler_with_it() -> None:
    old = child(desired("ConfigMap", "shop-db-old"))
    steps = Steps(
        before_release=(change(DATABASE, "1"), change(POOLER)), after_release=(change(APP),)
    )
    kept, held = pending.hold_restarts(replace(steps, deletes=(old,)), approved="")
    assert held_names(held) == ["shop-db", "shop-pooler"]
    assert kept.before_release == ()
    assert kept.after_release == steps.after_release
    assert kept.deletes == (), "the old pod still mounts its old configuration"


def test_an_approval_lets_through_exactly_the_change_it_names() -> None:
    step = change(DATABASE, "1")
    steps = Steps(before_release=(step,))
    assert pending.hold_restarts(steps, approved=pending.approval(step)) == (steps, ())
    _, held = pending.hold_restarts(steps, approved="00000000")
    assert held_names(held) == ["shop-db"]


def test_what_the_owner_asked_for_and_repairs_do_not_wait() -> None:
    for step in (change(DATABASE, "0"), change(DATABASE, None), change(DATABASE, "1", "drift")):
        assert pending.hold_restarts(Steps(before_release=(step,)), approved="") == (
            Steps(before_release=(step,)),
            (),
        )


def test_before_its_turn_nothing_of_a_service_changes_but_repairs_go_on() -> None:
    repair = change(desired("Service", "shop"), why="drift")
    kept, held = pending.hold_rollout(
        Steps(before_release=(repair, change(POOLER)), after_release=(change(APP),))
    )
    assert kept.before_release == (repair,)
    assert held_names(held) == ["shop-pooler", "shop"]


def tuned(name: str, value: int) -> TunedValue:
    return TunedValue(name=name, value=value, reason="because", source="derived")


def test_held_values_are_shown_as_they_are_and_as_they_will_be() -> None:
    before = {"tuning": [tuned("database.max_connections", 100).model_dump(by_alias=True)]}
    new = (tuned("database.max_connections", 200), tuned("server.threads", 40))
    _, held = pending.hold_restarts(Steps(before_release=(change(DATABASE, "1"),)), approved="")
    shown = pending.keep_held_values(held, new, before)
    assert [value.value for value in shown] == [100, 40]
    entry, value = pending.pending(held, new, before, "shop")
    assert "fastapi-operator.io/approve=" in entry.reason
    assert (value.name, value.reason) == ("database.max_connections", "100 becomes 200")
    assert pending.keep_held_values((), new, before) == new


def test_the_turn_is_told_first_and_no_more_than_a_status_holds() -> None:
    waiting = (desired("ConfigMap", f"shop-{number}") for number in range(20))
    held = tuple(pending.HeldWrite(change(item)) for item in waiting)
    told = pending.pending(held, (), {}, "shop", has_slot=True)
    assert [item.name for item in told[:2]] == ["rollout", "ConfigMap shop-0"]
    assert len(told) == MOST_PENDING
    without = {"pending": [item.model_dump() for item in told[1:]]}
    assert not pending.has_slot(without)
    status = pending.with_slot(without)
    assert pending.has_slot(status)
    assert pending.with_slot(status) == status
