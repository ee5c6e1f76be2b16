"""Background processes and schedules: when they are written, and that they stay as wanted."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.world import World, eventually

WORKER = {"name": "worker", "command": ["work"]}
BEAT = {"name": "beat", "command": ["beat"], "singleton": True}
REPORT = {"name": "report", "schedule": "0 6 * * *", "command": ["report"]}
WATCHED_SECONDS = 3.0


def images(world: World) -> set[str]:
    """The images of the worker and of the schedule."""
    worker = world.get("deployments", "shop-background-worker")
    schedule = world.get("cronjobs", "shop-schedules-report")
    if worker is None or schedule is None:
        return set()
    pods = (
        worker["spec"]["template"]["spec"],
        schedule["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    )
    return {pod["containers"][0]["image"] for pod in pods}


def test_processes_wait_for_the_migration_and_stay_old_if_it_fails(world: World) -> None:
    world.start(build=build_desired_state)
    spec: dict[str, Any] = {"background": [WORKER], "schedules": [REPORT]}
    spec["postgres"] = {"migrations": {}}
    world.apply(image="registry.test/shop:1", **spec)
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    world.finish_rollouts()
    job = eventually(lambda: world.kube.items(world.path("jobs")))[0]["metadata"]["name"]
    time.sleep(0.5)
    assert images(world) == set()
    assert world.condition("BackgroundReady")["reason"] == "WaitingForMigration"
    world.finish_job(job)
    world.until_ready()
    assert images(world) == {"registry.test/shop:1"}

    world.apply(image="registry.test/shop:2", **spec)
    jobs = eventually(lambda: len(found := world.kube.items(world.path("jobs"))) == 2 and found)
    (second,) = {body["metadata"]["name"] for body in jobs} - {job}
    world.finish_job(second, failed="no")
    eventually(lambda: world.condition("Stalled").get("reason") == "MigrationFailed")
    world.kube.delete(world.path("deployments", "shop-background-worker"))
    world.kube.delete(world.path("cronjobs", "shop-schedules-report"))
    eventually(lambda: images(world) == {"registry.test/shop:1"})


def test_a_schedule_is_repaired_and_deleted_with_its_entry(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(schedules=[REPORT])
    world.until_ready()
    path = world.path("cronjobs", "shop-schedules-report")
    world.kube.patch(path, {"spec": {"schedule": "* * * * *", "suspend": True}})

    def repaired() -> bool:
        spec = world.kube.get(path)["spec"]  # type: ignore[index]
        return (spec["schedule"], spec["suspend"]) == ("0 6 * * *", False)

    eventually(repaired)
    world.apply(schedules=[{**REPORT, "suspend": True}])
    eventually(lambda: world.kube.get(path)["spec"]["suspend"])  # type: ignore[index]
    world.until_ready()
    world.kube.delete(path)
    eventually(lambda: world.kube.get(path))
    world.apply()
    eventually(lambda: world.kube.get(path) is None)


def test_a_failed_run_is_reported_until_one_succeeds(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(schedules=[REPORT])
    world.until_ready()
    path = world.path("cronjobs", "shop-schedules-report")
    run = {"lastScheduleTime": "2026-11-22T06:00:00Z"}
    world.kube.patch(f"{path}/status", {"status": run})
    condition = eventually(
        lambda: (
            world.condition("SchedulesReady").get("status") == "False"
            and world.condition("SchedulesReady")
        )
    )
    assert condition["reason"] == "RunFailed"
    assert "shop-schedules-report: the run of 2026-11-22T06:00:00Z failed" in condition["message"]
    assert world.is_ready(), "a report does not serve requests"
    run["lastSuccessfulTime"] = "2026-11-22T06:30:00Z"
    world.kube.patch(f"{path}/status", {"status": run})
    eventually(lambda: world.condition("SchedulesReady").get("status") == "True")


@pytest.fixture
def silent_node(controlled_world: World) -> Iterator[str]:
    """A node without a kubelet: pods that are bound to it never end by themselves."""
    name, kube = controlled_world.namespace, controlled_world.kube
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    kube.request("POST", "/api/v1/nodes", node)
    yield name
    kube.delete(f"/api/v1/nodes/{name}")


def pods(world: World) -> list[dict[str, Any]]:
    """The pods of the singleton, also those that are ending."""
    selector = "fastapi-operator.io/process=beat"
    return world.kube.items(world.path("pods"), labelSelector=selector)


def started(world: World, node: str, *, image: str) -> str:
    """Plays scheduler and kubelet for the singleton's only pod; returns its name."""
    (pod,) = eventually(lambda: pods(world))
    assert pod["spec"]["containers"][0]["image"] == image
    name = pod["metadata"]["name"]
    path = world.path("pods", name)
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
    binding["target"] = {"apiVersion": "v1", "kind": "Node", "name": node}  # type: ignore[assignment]
    world.kube.request("POST", f"{path}/binding", binding)
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    world.kube.patch(f"{path}/status", {"status": ready})
    return name


def never_two(world: World) -> None:
    """Watches for a while that the pod that ends stays the only one."""
    deadline = time.monotonic() + WATCHED_SECONDS
    eventually(lambda: pods(world)[0]["metadata"].get("deletionTimestamp"))
    while time.monotonic() < deadline:
        assert len(pods(world)) == 1
        time.sleep(0.05)


def test_a_singleton_never_has_two_pods(controlled_world: World, silent_node: str) -> None:
    world, gone = controlled_world, {"gracePeriodSeconds": "0"}
    world.start(build=build_desired_state)
    world.apply(image="registry.test/shop:1", background=[BEAT])
    name = started(world, silent_node, image="registry.test/shop:1")
    # A rollout.
    world.apply(image="registry.test/shop:2", background=[BEAT])
    never_two(world)
    world.kube.delete(world.path("pods", name), **gone)
    name = started(world, silent_node, image="registry.test/shop:2")
    # A drain.
    world.kube.delete(world.path("pods", name))
    never_two(world)
    world.kube.delete(world.path("pods", name), **gone)
    started(world, silent_node, image="registry.test/shop:2")
