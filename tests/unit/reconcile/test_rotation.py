"""What a rotation writes next, for each state that an operator may find."""

import dataclasses
from typing import Any

import pytest

from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.observed import Health, Observed, Phase, Rotation
from fastapi_operator.reconcile.observe.references import Values, compute_stamp
from fastapi_operator.reconcile.plan.owned_object import OwnedObject
from fastapi_operator.reconcile.plan.rotation import Rotations, plan_rotations
from fastapi_operator.resources.desired import Desired, Generated, Write
from fastapi_operator.tuning import figures
from tests.unit.reconcile import worlds

NOW = 1_800_000_000
REQUEST = "2027-01-15T08:00:00Z"
GRACE, DEADLINE = 45, 600


def secret() -> Desired:
    return worlds.desired(
        "Secret",
        "shop-db",
        Part.DATABASE,
        write=Write.CREATE_ONCE,
        generate=Generated(("app", "app_alternate"), alternating=("app", "app_alternate")),
    )


def app() -> Desired:
    password = {"secretKeyRef": {"name": "shop-db", "key": "password"}}
    pod = {
        "terminationGracePeriodSeconds": GRACE,
        "containers": [{"name": "app", "env": [{"name": "P", "valueFrom": password}]}],
    }
    return worlds.desired("Deployment", "shop", body={"spec": {"template": {"spec": pod}}})


def schedule() -> Desired:
    job = {"activeDeadlineSeconds": DEADLINE, "template": {"spec": {}}}
    body = {"spec": {"jobTemplate": {"spec": job}}}
    return worlds.desired("CronJob", "shop-nightly", Part.SCHEDULES, body=body)


def rotations(
    rotation: Rotation | None,
    *,
    request: str = REQUEST,
    replaced: bool = True,
    ready: bool = True,
    **kept: Any,
) -> Rotations:
    """What is next where the Secret and the app's Deployment are as said."""
    owned: tuple[OwnedObject, ...] = worlds.owned([secret(), app(), *kept.get("others", ())])
    values = {owned[0].key: Values("uid", 1, {"password": "hash"})}
    known = compute_stamp(owned[1].references, values, None) if replaced else {}
    live = worlds.children(
        worlds.child(secret(), rotation=rotation),
        worlds.child(app(), stamp=known, health=Health(ready)),
    )
    return plan_rotations(owned, Observed(live, values=values), request=request, now=NOW)


def phase(found: Rotations) -> Phase | None:
    """The phase after the write that is next; None where nothing is written."""
    rotation = next((step.rotation for step in found.steps), None)
    return rotation.phase if rotation else None


def test_nothing_rotates_unasked_or_twice_for_one_request() -> None:
    assert rotations(None, request="") == Rotations()
    assert rotations(Rotation(REQUEST, Phase.CLOSED, NOW - 9999)) == Rotations()


def test_a_request_switches_to_the_other_user() -> None:
    (step,) = rotations(None).steps
    assert step.rotation == Rotation(REQUEST, Phase.SWITCHED, NOW)


def test_a_second_request_waits_until_servers_know_the_last_password() -> None:
    before = Rotation("earlier", Phase.CLOSED, NOW - 60)
    found = rotations(before)
    assert found.steps == ()
    assert found.requeue_after == figures.CREDENTIALS_SETTLE_SECONDS - 60
    assert "2027-" in found.pending[0].reason
    known = before._replace(since=NOW - figures.CREDENTIALS_SETTLE_SECONDS)
    assert phase(rotations(known)) is Phase.SWITCHED


@pytest.mark.parametrize("pods", [{"replaced": False}, {"ready": False}])
def test_the_former_user_stays_while_old_pods_may_be_there(pods: dict[str, bool]) -> None:
    found = rotations(Rotation(REQUEST, Phase.SWITCHED, NOW - 9999), **pods)
    assert found.steps == ()
    assert "Deployment shop" in found.pending[0].reason


def test_replaced_pods_get_their_grace_before_the_former_user_goes() -> None:
    assert phase(rotations(Rotation(REQUEST, Phase.SWITCHED, NOW))) is Phase.REPLACED
    replaced = Rotation(REQUEST, Phase.REPLACED, NOW - 5)
    found = rotations(replaced)
    assert (found.steps, found.requeue_after) == ((), GRACE - 5)
    assert phase(rotations(replaced._replace(since=NOW - GRACE))) is Phase.CLOSED


def test_a_run_of_a_schedule_may_go_on_to_its_deadline() -> None:
    replaced = Rotation(REQUEST, Phase.REPLACED, NOW - GRACE)
    found = rotations(replaced, others=[schedule()])
    assert found.steps == ()
    assert found.requeue_after is not None and found.requeue_after > DEADLINE - GRACE


def test_a_new_request_or_none_does_not_cut_a_rotation_short() -> None:
    for request in ("later", ""):
        (step,) = rotations(Rotation(REQUEST, Phase.REPLACED, NOW - GRACE), request=request).steps
        assert step.rotation == Rotation(REQUEST, Phase.CLOSED, NOW)


def test_a_secret_that_is_not_there_or_is_going_is_left_alone() -> None:
    owned = worlds.owned([secret()])
    assert plan_rotations(owned, Observed(), request=REQUEST, now=NOW) == Rotations()
    going = dataclasses.replace(worlds.child(secret()), deleting=True)
    found = plan_rotations(owned, Observed(worlds.children(going)), request=REQUEST, now=NOW)
    assert found == Rotations()


def test_what_somebody_wrote_into_the_annotation_is_no_rotation() -> None:
    for text in ("", "no", "[1]", '["a", "Else", 3]', "{}"):
        metadata = {"annotations": {"fastapi-operator.io/rotation": text}}
        assert Rotation.of({"metadata": metadata}) is None
    kept = Rotation(REQUEST, Phase.REPLACED, NOW)
    metadata = {"annotations": {"fastapi-operator.io/rotation": kept.text}}
    assert Rotation.of({"metadata": metadata}) == kept
