"""From objects and observed to writes, deletes and waiting."""

from dataclasses import replace
from typing import Any

from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.observed import Observed, Replicas
from fastapi_operator.reconcile.plan.migrations import find_migration
from fastapi_operator.reconcile.plan.owned_object import complete_body
from fastapi_operator.reconcile.plan.steps import Action, Steps, find_open_gates, plan_steps
from fastapi_operator.resources.desired import Desired, Gate, ObjectKey
from tests.unit.reconcile.worlds import (
    FAILED,
    OWNER,
    UNREADY,
    app,
    child,
    children,
    database,
    desired,
    migration,
    owned,
    record,
)

SPEC = {"image": "shop:1"}


def steps(
    objects: list[Desired],
    observed: Observed,
    *,
    released: list[Desired] | None = None,
    key: str | None = None,
    spec: Any = None,
) -> Steps:
    """Returns the steps, with the gates of the live objects."""
    wanted = find_migration(objects, observed, OWNER, request=key)
    gates = find_open_gates(objects, observed, owner=OWNER, migration=wanted)
    return plan_steps(
        owner=OWNER,
        desired_objects=owned(objects),
        released_objects=owned(released or []),
        observed=observed,
        gates=gates,
        spec=spec,
        migration=wanted,
    )


def actions(found: Steps) -> list[tuple[str, str]]:
    """Returns the writes as pairs of action and object."""
    return [
        (step.action.value, f"{step.key.kind}/{step.key.name}")
        for step in (*found.before_release, *found.after_release)
    ]


def live(objects: list[Desired]) -> list[Any]:
    return [child(item) for item in objects]


def test_missing_objects_are_written_configuration_first() -> None:
    objects = [*reversed(database()), *app()]
    found = steps(objects, Observed())
    assert actions(found) == [
        ("create", "Secret/shop-db"),
        ("create", "PersistentVolumeClaim/shop-db"),
        ("first", "Service/shop"),
        ("first", "StatefulSet/shop-db"),
        ("first", "ConfigMap/shop-app"),
        ("first", "Deployment/shop"),
    ]


def test_there_are_no_steps_if_all_objects_are_as_desired() -> None:
    objects = [*database(), *app()]
    observed = Observed(children(*live(objects)), record(image="shop:1"))
    assert steps(objects, observed, spec=SPEC) == Steps()


def test_drift_and_change_are_distinguished() -> None:
    service, config, deployment = app()
    observed = Observed(
        children(
            child(service, live_digest="edited"),
            child(config, last_applied_digest="older"),
            child(deployment),
        )
    )
    found = steps([service, config, deployment], observed)
    assert {step.key.kind: step.why for step in (*found.before_release, *found.after_release)} == {
        "Service": "drift",
        "ConfigMap": "changed",
    }


def test_after_a_restart_unchanged_objects_are_adopted_without_a_write() -> None:
    objects = [desired("ConfigMap", "a"), desired("ConfigMap", "b")]
    untouched = child(objects[0], expected_live_digest=None, owned_fields=_paths(objects[0]))
    touched = child(objects[1], expected_live_digest=None, owned_fields=frozenset())
    found = steps(objects, Observed(children(untouched, touched)))
    assert found.adopted == (untouched,)
    assert actions(found) == [("apply", "ConfigMap/b")]


def _paths(item: Desired) -> frozenset[int]:
    """The paths that an apply of the object would own."""
    from fastapi_operator.reconcile.observe import projection  # noqa: PLC0415

    (body,) = (one.body for one in owned([item]))

    def fields(value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return {f"f:{name}": fields(below) for name, below in value.items()}
        if isinstance(value, list):
            return {f'k:{{"uid":"{item["uid"]}"}}': fields(item) for item in value}
        return {}

    entry = {
        "manager": "fastapi-operator",
        "operation": "Apply",
        "fieldsV1": fields({"metadata": body["metadata"]}),
    }
    return projection.owned_paths({"metadata": {**body["metadata"], "managedFields": [entry]}})


def test_the_migration_waits_for_the_database_and_the_app_for_the_migration() -> None:
    objects = [*database(), migration("k1"), *app()]
    waiting = steps(objects, Observed(), key="k1")
    assert {(item.key.kind, item.reason) for item in waiting.waiting} == {
        ("Job", "WaitingForDatabase"),
        ("ConfigMap", "WaitingForMigration"),
        ("Deployment", "WaitingForMigration"),
    }
    assert waiting.release is None

    up = children(*live(database()), child(app()[0]))
    assert actions(steps(objects, Observed(up), key="k1")) == [("create", "Job/shop-migrate-k1")]

    running = {**up, **children(child(migration("k1"), health=UNREADY))}
    assert actions(steps(objects, Observed(running), key="k1")) == []

    done = {**up, **children(child(migration("k1")))}
    found = steps(objects, Observed(done), key="k1", spec=SPEC)
    assert actions(found) == [("first", "ConfigMap/shop-app"), ("first", "Deployment/shop")]
    assert found.release is not None
    assert (found.release.migrated, found.release.revision) == (("k1",), 1)


def test_while_a_migration_fails_the_old_version_is_repaired_and_nothing_is_removed() -> None:
    old, new = app("shop:1"), app("shop:2")
    objects = [*database(), migration("k2"), *new]
    stray = child(ObjectKey("", "ConfigMap", "default", "shop-old"))
    observed = Observed(
        children(
            *live(database()),
            child(new[0]),
            child(migration("k2"), health=FAILED),
            stray,
        ),
        record("k1", image="shop:1"),
    )
    found = steps(objects, observed, released=old, key="k2", spec={"image": "shop:2"})
    assert [step.owned.desired for step in found.after_release] == old[1:]
    assert found.release is None
    assert found.deletes == ()


def test_a_key_in_the_record_opens_the_gate_without_a_job() -> None:
    objects = [*database(), migration("k1"), *app()]
    observed = Observed(children(*live(database())), record("k1", "k2", image="shop:2"))
    found = steps(objects, observed, key="k1", spec=SPEC)
    assert not [step for step in found.before_release if step.key.kind == "Job"]
    assert found.release is not None
    assert found.release.migrated == ("k1", "k2")


def test_a_closed_database_gate_holds_only_missing_objects() -> None:
    pooler = desired("Deployment", "shop-pooler", Part.POOLER, gate=Gate.DATABASE)
    down = child(database()[2], health=UNREADY)
    rest = live(database()[:2])
    objects = [*database(), pooler]
    missing = steps(objects, Observed(children(down, *rest)))
    assert actions(missing) == []
    edited = child(pooler, live_digest="edited")
    found = steps(objects, Observed(children(down, *rest, edited)))
    assert actions(found) == [("apply", "Deployment/shop-pooler")]


def test_a_missing_secret_of_an_existing_volume_is_not_generated() -> None:
    secret, claim, stateful = database()
    observed = Observed(children(child(claim), child(stateful)))
    (step,) = steps([secret, claim, stateful], observed).before_release
    assert (step.key.kind, step.volume) == ("Secret", claim.key)


def test_only_owned_objects_are_deleted() -> None:
    stray = ObjectKey("", "ConfigMap", "default", "stray")
    mine = child(stray)
    foreign = child(stray._replace(name="foreign"), owner_uid="another")
    retained = child(stray._replace(name="retained"), owner_uid=None)
    going = child(stray._replace(name="going"), deleting=True)
    found = steps([], Observed(children(mine, foreign, retained, going)))
    assert found.deletes == (mine,)


def test_configuration_is_kept_until_its_pods_are_replaced() -> None:
    objects = app()
    old = child(ObjectKey("", "ConfigMap", "default", "shop-app-old"))
    rolling = [child(objects[0]), child(objects[1]), child(objects[2], health=UNREADY)]
    assert steps(objects, Observed(children(old, *rolling))).deletes == ()
    assert steps(objects, Observed(children(old, *live(objects)))).deletes == (old,)


def test_the_last_three_migration_jobs_are_kept() -> None:
    current = migration("k5")
    jobs = [
        child(migration(f"k{number}"), created=f"2026-01-0{number}T00:00:00Z")
        for number in range(1, 6)
    ]
    observed = Observed(children(*live(database()), *jobs), record("k5"))
    found = steps([*database(), current], observed, key="k5")
    assert [item.key.name for item in found.deletes] == ["shop-migrate-k1", "shop-migrate-k2"]


def test_a_deletion_policy_moves_the_owner_reference() -> None:
    kept, owned = database(retain=True), database(retain=False)
    found = steps(owned, Observed(children(*live(kept))))
    assert [step.action for step in found.before_release] == [Action.OWN, Action.OWN]
    found = steps(kept, Observed(children(*live(owned))))
    assert [step.action for step in found.before_release] == [Action.DISOWN, Action.DISOWN]


def test_an_object_of_another_owner_is_inspected_before_it_is_written() -> None:
    service = desired("Service", "shop")
    found = steps([service], Observed(children(child(service, owner_uid="another"))))
    assert actions(found) == [("inspect", "Service/shop")]


def test_an_object_waits_until_the_old_one_is_deleted() -> None:
    service = desired("Service", "shop")
    found = steps([service], Observed(children(child(service, deleting=True))))
    assert actions(found) == []
    assert found.waiting[0].reason == "Deleting"


def test_a_blocking_object_is_deleted_first() -> None:
    old = desired("HorizontalPodAutoscaler", "shop", Part.AUTOSCALING)
    new = desired("ConfigMap", "shop-scaler", Part.AUTOSCALING, blocked_by=old.key)
    found = steps([new], Observed(children(child(old))))
    assert (actions(found), [gone.key for gone in found.deletes]) == ([], [old.key])
    assert found.waiting[0].message.startswith("waits until HorizontalPodAutoscaler")
    assert actions(steps([new], Observed({}))) == [("first", "ConfigMap/shop-scaler")]


def test_replicas_set_by_an_autoscaler_are_not_drift() -> None:
    fixed = app()[2]
    scaled = replace(fixed, hands_over_replicas=True)
    theirs = child(fixed, replicas=Replicas(wanted=7, ours=False, live=7))
    assert actions(steps([scaled], Observed(children(theirs)))) == []
    assert actions(steps([fixed], Observed(children(theirs)))) == [("apply", "Deployment/shop")]


def test_an_autoscaled_workload_without_pods_gets_the_smallest_number() -> None:
    scaled = replace(app()[2], hands_over_replicas=True)
    none = child(scaled, replicas=Replicas(wanted=0, ours=False, live=0))
    assert actions(steps([scaled], Observed(children(none)))) == [("apply", "Deployment/shop")]
    (item,) = owned([scaled])
    assert complete_body(item, none, {})["spec"]["replicas"] == 2


def test_a_new_spec_is_recorded_once() -> None:
    objects = app()
    observed = Observed(children(*live(objects)), record(image="shop:0"))
    found = steps(objects, observed, spec=SPEC)
    assert found.release is not None
    assert found.release.spec == SPEC
    observed = Observed(children(*live(objects)), found.release)
    assert steps(objects, observed, spec=SPEC).release is None


def canary_objects() -> list[Desired]:
    """The objects of a canary."""
    return [
        desired("Service", "shop-canary-pods", Part.CANARY),
        desired("Deployment", "shop-canary", Part.CANARY, body={"spec": {"replicas": 1}}),
    ]


def with_canary(wanted: list[Desired], live: Observed, *, settled: bool, promoted: bool) -> Steps:
    """The steps of a second version, before or after its promotion."""
    gates = frozenset(Gate) - (frozenset() if promoted else {Gate.PROMOTED})
    return plan_steps(
        owner=OWNER,
        desired_objects=owned(wanted),
        released_objects=owned(app("shop:1")),
        observed=live,
        gates=gates,
        spec={"image": "shop:2"},
        migration=None,
        proxies_settled=settled,
    )


def test_before_its_promotion_only_the_canary_and_the_pooler_are_of_the_new_version() -> None:
    pooler = desired(
        "ConfigMap", "shop-pooler", Part.POOLER, body={"data": {"key": "2"}}, gate=Gate.MIGRATED
    )
    wanted = [*app("shop:2"), pooler, *canary_objects()]
    running = Observed(
        children(*live(app("shop:1")), child(pooler, last_applied_digest="older")),
        record(image="shop:1"),
    )
    found = with_canary(wanted, running, settled=False, promoted=False)
    assert actions(found) == [
        ("first", "Service/shop-canary-pods"),
        ("first", "Deployment/shop-canary"),
        ("apply", "ConfigMap/shop-pooler"),
    ]
    assert found.release is None
    promoted = with_canary(wanted, running, settled=False, promoted=True)
    assert ("apply", "Deployment/shop") in actions(promoted)
    assert promoted.release is not None
    assert promoted.release.spec == {"image": "shop:2"}


def test_a_canary_that_ended_is_removed_when_no_proxy_knows_it_and_its_record_never_is() -> None:
    memory = ObjectKey("", "ConfigMap", OWNER.namespace, "shop-canary")
    ended = Observed(
        children(*live([*app("shop:1"), *canary_objects()]), child(memory)), record(image="shop:1")
    )
    for promoted in (False, True):
        early = with_canary(app("shop:1"), ended, settled=False, promoted=promoted)
        assert early.deletes == ()
        found = with_canary(app("shop:1"), ended, settled=True, promoted=promoted)
        assert {item.key.name for item in found.deletes} == {"shop-canary", "shop-canary-pods"}
        assert {item.key.kind for item in found.deletes} == {"Deployment", "Service"}
    # One that is desired is not removed, also if its stage has just begun.
    wanted = [*app("shop:1"), *canary_objects()]
    assert with_canary(wanted, ended, settled=True, promoted=False).deletes == ()
