"""The next write of a rotation, for each state."""

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
    """Returns the next rotations for a state of the Secret and the app's Deployment."""
    owned: tuple[OwnedObject, ...] = worlds.owned([secret(), app(), *kept.get("others", ())])
    values = {owned[0].key: Values("uid", 1, {"password": "hash"})}
    known = compute_stamp(owned[1].references, values, None) if replaced else {}
    live = worlds.children(
        worlds.child(secret(), rotation=rotation),
        worlds.child(app(), stamp=known, health=Health(ready)),
    )
    return plan_rotations(owned, Observed(live, values=values), request=request, now=NOW)


def phase(found: Rotations) -> Phase | None:
    """Returns the phase after the next write; None if there is no write."""
    rotation = next((step.rotation for step in found.steps), None)
    return rotation.phase if rotation else None


def test_credentials_rotate_only_on_request_and_once_per_request() -> None:
    assert rotations(None, request="") == Rotations()
    assert rotations(Rotation(REQUEST, Phase.CLOSED, NOW - 9999)) == Rotations()


def test_a_request_switches_to_the_other_user() -> None:
    (step,) = rotations(None).steps
    assert step.rotation == Rotation(REQUEST, Phase.SWITCHED, NOW)


def test_a_second_request_waits_until_servers_have_loaded_the_last_password() -> None:
    before = Rotation("earlier", Phase.CLOSED, NOW - 60)
    found = rotations(before)
    assert found.steps == ()
    assert found.requeue_after == figures.CREDENTIALS_SETTLE_SECONDS - 60
    assert "2027-" in found.pending[0].reason
    known = before._replace(since=NOW - figures.CREDENTIALS_SETTLE_SECONDS)
    assert phase(rotations(known)) is Phase.SWITCHED


@pytest.mark.parametrize("done", [Phase.REPLACED, Phase.CLOSED])
def test_a_phase_of_a_clock_that_was_a_month_ahead_begins_again(done: Phase) -> None:
    (step,) = rotations(Rotation("earlier", done, NOW + 30 * 86_400)).steps
    assert step.rotation == Rotation("earlier", done, NOW)


@pytest.mark.parametrize("pods", [{"replaced": False}, {"ready": False}])
def test_the_former_user_is_kept_while_old_pods_may_exist(pods: dict[str, bool]) -> None:
    found = rotations(Rotation(REQUEST, Phase.SWITCHED, NOW - 9999), **pods)
    assert found.steps == ()
    assert "Deployment shop" in found.pending[0].reason


def test_the_former_user_is_kept_for_the_grace_period_of_replaced_pods() -> None:
    assert phase(rotations(Rotation(REQUEST, Phase.SWITCHED, NOW))) is Phase.REPLACED
    replaced = Rotation(REQUEST, Phase.REPLACED, NOW - 5)
    found = rotations(replaced)
    assert (found.steps, found.requeue_after) == ((), GRACE - 5)
    assert phase(rotations(replaced._replace(since=NOW - GRACE))) is Phase.CLOSED


def test_the_former_user_is_kept_until_the_deadline_of_a_scheduled_run() -> None:
    replaced = Rotation(REQUEST, Phase.REPLACED, NOW - GRACE)
    found = rotations(replaced, others=[schedule()])
    assert found.steps == ()
    assert found.requeue_after is not None and found.requeue_after > DEADLINE - GRACE


def test_a_changed_request_does_not_stop_a_rotation() -> None:
    for request in ("later", ""):
        (step,) = rotations(Rotation(REQUEST, Phase.REPLACED, NOW - GRACE), request=request).steps
        assert step.rotation == Rotation(REQUEST, Phase.CLOSED, NOW)


def test_a_missing_or_terminating_secret_is_not_rotated() -> None:
    owned = worlds.owned([secret()])
    assert plan_rotations(owned, Observed(), request=REQUEST, now=NOW) == Rotations()
    going = dataclasses.replace(worlds.child(secret()), deleting=True)
    found = plan_rotations(owned, Observed(worlds.children(going)), request=REQUEST, now=NOW)
    assert found == Rotations()


def test_an_invalid_annotation_is_ignored() -> None:
    for text in ("", "no", "[1]", '["a", "Else", 3]', "{}"):
        metadata = {"annotations": {"fastapi-operator.io/rotation": text}}
        assert Rotation.of({"metadata": metadata}) is None
    kept = Rotation(REQUEST, Phase.REPLACED, NOW)
    metadata = {"annotations": {"fastapi-operator.io/rotation": kept.text}}
    assert Rotation.of({"metadata": metadata}) == kept


@pytest.mark.parametrize(
    ("job", "waits"), [(None, False), (Health(True), False), (Health(False), True)]
)
def test_a_rotation_waits_for_a_migration_that_runs_and_for_no_other(
    job: Health | None, waits: bool
) -> None:
    password = {"secretKeyRef": {"name": "shop-db", "key": "password"}}
    pod = {"containers": [{"name": "migrate", "env": [{"name": "P", "valueFrom": password}]}]}
    body = {"spec": {"template": {"spec": pod}}}
    migration = worlds.desired("Job", "shop-migrate-1", Part.MIGRATION, body=body)
    owned: tuple[OwnedObject, ...] = worlds.owned([secret(), migration])
    live = [worlds.child(secret(), rotation=Rotation(REQUEST, Phase.SWITCHED, NOW))]
    live += [] if job is None else [worlds.child(migration, health=job)]
    values = {owned[0].key: Values("uid", 1, {"password": "hash"})}
    observed = Observed(worlds.children(*live), values=values)
    found = plan_rotations(owned, observed, request=REQUEST, now=NOW)
    assert bool(found.steps) is not waits
