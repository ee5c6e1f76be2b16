"""What waits for an approval or a turn, and how the status says so."""

from dataclasses import replace

from fastapi_operator.api.status import MOST_PENDING, TunedValue
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.plan import pending
from fastapi_operator.reconcile.plan.owned_object import seal
from fastapi_operator.reconcile.plan.steps import Action, Step, Steps
from fastapi_operator.resources.desired import Desired
from tests.unit.reconcile.worlds import OWNER, child, desired

DATABASE = desired("StatefulSet", "shop-db", Part.DATABASE, requested_hash="1")
POOLER = desired("Deployment", "shop-pooler", Part.POOLER)
APP = desired("Deployment", "shop")


def change(item: Desired, asked: str | None = None, why: str = "changed") -> Step:
    return Step(Action.APPLY, seal(item, OWNER), child(item, asked=asked), why)


def held_names(held: tuple[pending.Held, ...]) -> list[str]:
    return [item.step.key.name for item in held]


def test_a_restart_that_nobody_asked_for_waits_and_its_pooler_with_it() -> None:
    old = child(desired("ConfigMap", "shop-db-old"))
    steps = Steps(before=(change(DATABASE, "1"), change(POOLER)), after=(change(APP),))
    kept, held = pending.hold_restarts(replace(steps, deletes=(old,)), agreed="")
    assert held_names(held) == ["shop-db", "shop-pooler"]
    assert kept.before == ()
    assert kept.after == steps.after
    assert kept.deletes == (), "the old pod still mounts its old configuration"


def test_an_approval_lets_through_exactly_the_change_it_names() -> None:
    step = change(DATABASE, "1")
    steps = Steps(before=(step,))
    assert pending.hold_restarts(steps, agreed=pending.approval(step)) == (steps, ())
    _, held = pending.hold_restarts(steps, agreed="00000000")
    assert held_names(held) == ["shop-db"]


def test_what_the_owner_asked_for_and_repairs_do_not_wait() -> None:
    for step in (change(DATABASE, "0"), change(DATABASE, None), change(DATABASE, "1", "drift")):
        assert pending.hold_restarts(Steps(before=(step,)), agreed="") == (
            Steps(before=(step,)),
            (),
        )


def test_before_its_turn_nothing_of_a_service_changes_but_repairs_go_on() -> None:
    repair = change(desired("Service", "shop"), why="drift")
    kept, held = pending.hold_rollout(Steps(before=(repair, change(POOLER)), after=(change(APP),)))
    assert kept.before == (repair,)
    assert held_names(held) == ["shop-pooler", "shop"]


def tuned(name: str, value: int) -> TunedValue:
    return TunedValue(name=name, value=value, reason="because", source="derived")


def test_held_values_are_shown_as_they_are_and_as_they_will_be() -> None:
    before = {"tuning": [tuned("database.max_connections", 100).model_dump(by_alias=True)]}
    new = (tuned("database.max_connections", 200), tuned("server.threads", 40))
    _, held = pending.hold_restarts(Steps(before=(change(DATABASE, "1"),)), agreed="")
    shown = pending.in_force(held, new, before)
    assert [value.value for value in shown] == [100, 40]
    entry, value = pending.pending(held, new, before, "shop")
    assert "fastapi-operator.io/approve=" in entry.reason
    assert (value.name, value.reason) == ("database.max_connections", "100 becomes 200")
    assert pending.in_force((), new, before) == new


def test_the_turn_is_told_first_and_no_more_than_a_status_holds() -> None:
    waiting = (desired("ConfigMap", f"shop-{number}") for number in range(20))
    held = tuple(pending.Held(change(item)) for item in waiting)
    told = pending.pending(held, (), {}, "shop", turn=True)
    assert [item.name for item in told[:2]] == ["rollout", "ConfigMap shop-0"]
    assert len(told) == MOST_PENDING
    without = {"pending": [item.model_dump() for item in told[1:]]}
    assert not pending.has_turn(without)
    status = pending.with_turn(without)
    assert pending.has_turn(status)
    assert pending.with_turn(status) == status
