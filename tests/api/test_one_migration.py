"""One migration at a time for each database, also if a newer image or another service wants one."""

import base64
import time
from typing import Any

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.test_migrations import POSTGRES, image, jobs
from tests.api.world import World, eventually

WATCHED = {"fastapi-operator.io/watched": "true"}


def start_job(world: World, name: str) -> None:
    """Marks a Job's pod as started."""
    world.kube.patch(
        f"{world.path('jobs', name)}/status", {"status": {"active": 1, "ready": 1, "failed": 0}}
    )


def is_finished(world: World, name: str) -> bool:
    body = world.get("jobs", name)
    return body is not None and bool(body.get("status", {}).get("conditions"))


def new_job(world: World, *known: str) -> str:
    """Waits for a Job that is not known yet."""
    (name,) = eventually(lambda: [name for name in jobs(world) if name not in known])
    return name


def test_a_newer_image_waits_for_the_older_migration(world: World) -> None:
    operator = world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    known = jobs(world)
    world.apply(image="registry.test/shop:2", postgres=POSTGRES)
    second = new_job(world, *known)
    start_job(world, second)
    time.sleep(0.5)
    world.apply(image="registry.test/shop:3", postgres=POSTGRES)
    for restarted in (False, True):
        if restarted:
            operator.stop()
            world.start()
        waiting = eventually(
            lambda: (
                world.condition("MigrationsReady").get("reason") == "WaitingForOtherMigration"
                and world.condition("MigrationsReady")
            )
        )
        assert second in waiting["message"]
        time.sleep(1.0)
        assert set(jobs(world)) == {*known, second}
        assert image(world) == "registry.test/shop:1"
    world.finish_job(second)
    third = new_job(world, *known, second)
    assert image(world) == "registry.test/shop:1"
    world.finish_job(third)
    world.until_ready()
    assert image(world) == "registry.test/shop:3"


def test_a_rollback_waits_for_the_newer_migration(world: World) -> None:
    world.start()
    world.apply(postgres=POSTGRES)
    world.until_ready()
    known = jobs(world)
    world.apply(image="registry.test/shop:2", postgres=POSTGRES)
    second = new_job(world, *known)
    start_job(world, second)
    time.sleep(0.5)
    world.apply(image="registry.test/shop:1", scaling={"replicas": 3}, postgres=POSTGRES)
    eventually(
        lambda: world.condition("MigrationsReady").get("reason") == "WaitingForOtherMigration"
    )
    time.sleep(1.0)
    assert world.get("deployments", "shop")["spec"]["replicas"] == 2
    world.finish_job(second, failed="cancelled")
    world.until_ready()
    assert world.get("deployments", "shop")["spec"]["replicas"] == 3
    assert jobs(world) == [*known, second]


def test_a_job_that_never_started_gives_way(controlled_world: World) -> None:
    world = controlled_world
    world.start()
    world.apply(postgres=POSTGRES)
    world.until_really_ready()
    known = jobs(world)
    world.apply(image="registry.test/shop:typo", postgres=POSTGRES)
    second = new_job(world, *known)
    eventually(lambda: any(second in pod["metadata"]["name"] for pod in pods(world)))
    world.apply(image="registry.test/shop:3", postgres=POSTGRES)
    third = new_job(world, *known, second)
    assert not any(second in pod["metadata"]["name"] for pod in pods(world))
    assert set(jobs(world)) == {*known, third}
    world.until_really_ready()
    assert image(world) == "registry.test/shop:3"


def pods(world: World) -> list[dict[str, Any]]:
    return world.kube.items(world.path("pods"))


def secret(world: World, name: str, host: str) -> None:
    values = {"host": host, "dbname": "orders", "username": "app", "password": "p"}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": world.namespace, "labels": WATCHED}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    world.kube.apply(world.path("secrets", name), body, force="true")


def external(name: str) -> dict[str, Any]:
    return {
        "mode": "External",
        "secretRef": {"name": name},
        "maxConnections": 100,
        "migrations": {},
    }


def test_services_that_share_a_database_migrate_one_after_the_other(world: World) -> None:
    operator = world.start(build=build_desired_state)
    secret(world, "one", "DB.example.com.")
    secret(world, "two", "db.example.com")
    secret(world, "three", "other.example.com")
    names = ("one", "two", "three")
    for name in names:
        world.apply(name, postgres=external(name))

    def running() -> list[str]:
        return [name for name in jobs(world) if not is_finished(world, name)]

    def of(name: str) -> list[str]:
        return [job for job in running() if job.startswith(f"{name}-migrate-")]

    eventually(lambda: len(running()) == 2 and of("three"))
    (first,) = [name for name in running() if not name.startswith("three-")]
    waiting = "two" if first.startswith("one-") else "one"
    for restarted in (False, True):
        if restarted:
            operator.stop()
            world.start(build=build_desired_state)
        condition = eventually(
            lambda: (
                world.condition("MigrationsReady", waiting).get("reason")
                == "WaitingForOtherMigration"
                and world.condition("MigrationsReady", waiting)
            )
        )
        assert first in condition["message"]
        time.sleep(1.0)
        assert not of(waiting)
    world.finish_job(first)
    eventually(lambda: of(waiting))
    (annotation,) = (
        body["metadata"]["annotations"]["fastapi-operator.io/migration"]
        for body in world.kube.items(world.path("jobs"))
        if body["metadata"]["name"] == first
    )
    assert "example" not in annotation


def running_pod(world: World, job: str) -> str:
    """Waits for the pod of a Job, and reports that it runs; returns its name."""
    (name,) = eventually(
        lambda: [it["metadata"]["name"] for it in pods(world) if job in it["metadata"]["name"]]
    )
    report_phase(world, name, "Running")
    return str(name)


def orphan_pod(world: World, job: str) -> None:
    """Deletes a Job without its pod, which continues."""
    world.kube.delete(world.path("jobs", job), propagationPolicy="Orphan")
    eventually(lambda: world.get("jobs", job) is None)


def waits_for(world: World, name: str) -> bool:
    """Whether the migration waits for a Job or a pod."""
    found = world.condition("MigrationsReady")
    return found.get("reason") == "WaitingForOtherMigration" and name in found["message"]


def report_phase(world: World, pod: str, phase: str) -> None:
    world.kube.patch(f"{world.path('pods', pod)}/status", {"status": {"phase": phase}})


def test_the_pod_of_a_deleted_job_delays_the_next_migration(controlled_world: World) -> None:
    world = controlled_world
    operator = world.start(build=build_desired_state)
    world.apply(postgres=POSTGRES)
    world.until_really_ready()
    known = jobs(world)
    world.apply(image="registry.test/shop:2", postgres=POSTGRES)
    second = new_job(world, *known)
    pod = running_pod(world, second)
    orphan_pod(world, second)
    for restarted in (False, True):
        if restarted:
            operator.stop()
            world.start(build=build_desired_state)
        eventually(lambda: waits_for(world, f"Pod {world.namespace}/{pod}"))
        time.sleep(1.0)
        assert jobs(world) == known
    report_phase(world, pod, "Succeeded")
    eventually(lambda: jobs(world) != known)
    world.kube.delete(world.path("pods", pod), gracePeriodSeconds="0")
    world.until_really_ready()
    assert image(world) == "registry.test/shop:2"


def test_a_rollback_waits_for_the_pod_of_a_deleted_job(controlled_world: World) -> None:
    world = controlled_world
    world.start(build=build_desired_state)
    world.apply(postgres=POSTGRES)
    world.until_really_ready()
    known = jobs(world)
    world.apply(image="registry.test/shop:2", postgres=POSTGRES)
    second = new_job(world, *known)
    pod = running_pod(world, second)
    world.apply(image="registry.test/shop:1", scaling={"replicas": 3}, postgres=POSTGRES)
    eventually(lambda: waits_for(world, second))
    orphan_pod(world, second)
    eventually(lambda: waits_for(world, f"Pod {world.namespace}/{pod}"))
    time.sleep(1.0)
    assert world.get("deployments", "shop")["spec"]["replicas"] == 2
    world.kube.delete(world.path("pods", pod), gracePeriodSeconds="0")
    world.until_really_ready()
    assert world.get("deployments", "shop")["spec"]["replicas"] == 3
