"""Which database was migrated is remembered, and lost data is never replaced silently."""

import time
from typing import Any

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.test_migrations import POSTGRES, image, jobs, released
from tests.api.test_one_migration import external, new_job, secret
from tests.api.world import World, eventually

CLAIM = "shop-postgres"


def lose_volume(world: World) -> str:
    """Deletes the database's claim; returns its uid."""
    uid: str = world.get("persistentvolumeclaims", CLAIM)["metadata"]["uid"]
    world.kube.delete(world.path("persistentvolumeclaims", CLAIM))
    # Without controllers, no one removes the finalizer that protects a claim in use.
    path = world.path("persistentvolumeclaims", CLAIM)
    if world.get("persistentvolumeclaims", CLAIM) is not None:
        world.kube.patch(path, {"metadata": {"finalizers": None}})
    return uid


def stalled(world: World, reason: str) -> dict[str, Any]:
    return eventually(
        lambda: world.condition("Stalled").get("reason") == reason and world.condition("Stalled")
    )


def annotate(world: World, uid: str) -> None:
    annotations = {"fastapi-operator.io/begin-empty": uid}
    world.kube.patch(
        world.path("fastapiservices", "shop"), {"metadata": {"annotations": annotations}}
    )


def test_the_record_holds_the_database(world: World) -> None:
    world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    (record,) = released(world)
    uid = world.get("persistentvolumeclaims", CLAIM)["metadata"]["uid"]
    assert record["data"]["volumes"] == {f"PersistentVolumeClaim/{CLAIM}": uid}
    assert len(record["data"]["database"]) == 16


def test_a_claim_whose_volume_is_gone_stalls_with_the_next_step(world: World) -> None:
    world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    path = f"{world.path('persistentvolumeclaims', CLAIM)}/status"
    world.kube.patch(path, {"status": {"phase": "Lost"}})
    assert "or delete the claim" in stalled(world, "VolumeLost")["message"]


def test_a_lost_volume_is_not_replaced_until_its_uid_is_confirmed(world: World) -> None:
    operator = world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    known = jobs(world)
    uid = lose_volume(world)
    for restarted in (False, True):
        if restarted:
            operator.stop()
            world.start()
        condition = stalled(world, "VolumeLost")
        assert CLAIM in condition["message"]
        assert f"fastapi-operator.io/begin-empty={uid}" in condition["message"]
        assert world.condition("DatabaseReady")["status"] == "False"
        time.sleep(1.0)
        assert world.get("persistentvolumeclaims", CLAIM) is None
    annotate(world, "another-uid")
    world.apply(image="registry.test/shop:2", postgres=POSTGRES)
    time.sleep(1.5)
    assert world.get("persistentvolumeclaims", CLAIM) is None
    assert jobs(world) == known
    assert image(world) == "registry.test/shop:1"

    world.apply(image="registry.test/shop:1", postgres=POSTGRES)
    annotate(world, uid)
    claim = eventually(lambda: world.get("persistentvolumeclaims", CLAIM))
    # The empty database is migrated before anything else is released.
    name = new_job(world, *known)
    assert world.condition("MigrationsReady")["status"] == "False"
    world.finish_job(name)
    world.until_ready()
    record = released(world)[-1]["data"]
    assert record["volumes"] == {f"PersistentVolumeClaim/{CLAIM}": claim["metadata"]["uid"]}
    # The confirmation holds for this volume only.
    again = lose_volume(world)
    assert again in stalled(world, "VolumeLost")["message"]


def test_a_replaced_volume_is_reported(world: World) -> None:
    operator = world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    operator.stop()
    body = world.get("persistentvolumeclaims", CLAIM)
    uid = lose_volume(world)
    metadata = {"name": CLAIM, "labels": body["metadata"]["labels"]}
    spec = {key: body["spec"][key] for key in ("accessModes", "resources")}
    world.kube.request(
        "POST", world.path("persistentvolumeclaims"), {"metadata": metadata, "spec": spec}
    )
    world.start()
    condition = stalled(world, "VolumeLost")
    assert uid in condition["message"]
    assert "another object" in condition["message"]
    known = jobs(world)
    annotate(world, uid)
    world.finish_job(new_job(world, *known))
    world.until_ready()


def test_a_service_without_migrations_remembers_its_volume(world: World) -> None:
    world.start()
    world.apply(postgres={})
    world.until_ready()
    uid = lose_volume(world)
    assert uid in stalled(world, "VolumeLost")["message"]
    annotate(world, uid)
    world.until_ready()
    assert len(released(world)) == 2


def test_lost_credentials_and_the_volume_agree_on_the_remedy(world: World) -> None:
    world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    known = jobs(world)
    world.kube.delete(world.path("secrets", "shop-postgres"))
    message = stalled(world, "CredentialsLost")["message"]
    uid = world.get("persistentvolumeclaims", CLAIM)["metadata"]["uid"]
    assert f"fastapi-operator.io/begin-empty={uid}" in message
    # The remedy, as it is written.
    lose_volume(world)
    annotate(world, uid)
    eventually(lambda: world.get("secrets", "shop-postgres"))
    world.finish_job(new_job(world, *known))
    world.until_ready()


def test_a_removed_database_is_remembered_until_it_returns(world: World) -> None:
    world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    # As many as the autoscaler's minimum, since no autoscaler runs here.
    world.apply(scaling={"replicas": 2})
    eventually(lambda: world.get("statefulsets", "shop-postgres") is None)
    world.until_ready()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    assert len(jobs(world)) == 1


def test_the_record_of_an_older_operator_is_adopted(world: World) -> None:
    operator = world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    operator.stop()
    # As the operator wrote them before records held the database.
    (record,) = released(world)
    (job,) = jobs(world)
    live = world.get("jobs", job)
    request = live["metadata"]["annotations"]["fastapi-operator.io/migration"].split('"')[1]
    old = {key: record["metadata"][key] for key in ("name", "labels", "ownerReferences")}
    data = {"spec": record["data"]["spec"], "migrated": ["older", request]}
    world.kube.delete(world.path("controllerrevisions", old["name"]))
    world.kube.delete(world.path("jobs", job), propagationPolicy="Background")
    body = {"metadata": old, "data": data, "revision": 1}
    world.kube.request("POST", world.path("controllerrevisions"), body)

    world.start()
    newest = eventually(lambda: len(released(world)) == 2 and released(world)[-1])
    world.until_ready()
    assert jobs(world) == []
    assert len(newest["data"]["migrated"]) == 2
    assert not {"older", request} & set(newest["data"]["migrated"])
    assert newest["data"]["volumes"]
    assert lose_volume(world) in stalled(world, "VolumeLost")["message"]


def test_another_external_database_is_migrated_before_the_app_serves(world: World) -> None:
    operator = world.start(build=build_desired_state)
    secret(world, "one", "db1.example.com")
    direct = {**external("one"), "pooler": {"engine": "None"}}
    world.apply(postgres=direct)
    world.until_ready()
    (first,) = jobs(world)

    def template() -> dict[str, Any]:
        return world.get("deployments", "shop")["spec"]["template"]

    # Another password of the same database needs no migration.
    before = template()
    secret(world, "one", "DB1.example.com.")
    eventually(lambda: template() != before)
    world.until_ready()
    assert jobs(world) == [first]

    before = template()
    secret(world, "one", "db2.example.com")
    second = new_job(world, first)
    for restarted in (False, True):
        if restarted:
            operator.stop()
            operator = world.start(build=build_desired_state)
        time.sleep(1.5)
        assert template() == before
    world.finish_job(second)
    eventually(lambda: template() != before)
    world.until_ready()

    # The first database is still known.
    secret(world, "one", "db1.example.com")
    world.until_ready()
    assert set(jobs(world)) == {first, second}
    records = [record["data"] for record in released(world)]
    assert "example" not in str([record["database"] for record in records])


def test_an_unwatched_secret_is_read_as_well(world: World) -> None:
    world.start(build=build_desired_state)
    for name, label in (("one", "true"), ("two", "true")):
        secret(world, name, "db.example.com")
        path = world.path("secrets", name)
        assert label
        world.kube.patch(path, {"metadata": {"labels": {"fastapi-operator.io/watched": None}}})
    world.apply("one", postgres=external("one"))
    eventually(lambda: jobs(world))
    world.apply("two", postgres=external("two"))
    eventually(
        lambda: (
            world.condition("MigrationsReady", "two").get("reason") == "WaitingForOtherMigration"
        )
    )
