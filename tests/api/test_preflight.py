"""A new image is checked before its migration; one that cannot start is never rolled out."""

import json
from typing import Any

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.test_migrations import image, jobs
from tests.api.test_one_migration import external, secret
from tests.api.world import World, eventually

ENABLED = {"preflight": "Enabled"}


def check(world: World, *known: str) -> str:
    """Waits for the Job of a preflight that is not known yet."""

    def new() -> list[str]:
        return [name for name in jobs(world) if "-preflight-" in name and name not in known]

    (name,) = eventually(new)
    return str(name)


def migrations(world: World) -> list[str]:
    return [name for name in jobs(world) if "-migrate-" in name]


def finish(world: World, name: str, outcome: str, **report: Any) -> None:
    """Plays the kubelet and the Job controller: the pod of a Job ends with a report."""
    job = world.get("jobs", name)
    assert job is not None
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name,
        "uid": job["metadata"]["uid"],
        "controller": True,
    }
    labels = {"batch.kubernetes.io/job-name": name, **job["spec"]["template"]["metadata"]["labels"]}
    (container,) = job["spec"]["template"]["spec"]["containers"]
    pod = {
        "metadata": {"name": f"{name}-1", "labels": labels, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "preflight", "image": container["image"]}]},
    }
    world.kube.request("POST", world.path("pods"), pod)
    failed = outcome == "Failed"
    text = json.dumps({"outcome": outcome, **report})
    state = {"terminated": {"exitCode": int(failed), "message": text}}
    status = {
        "name": "preflight",
        "image": container["image"],
        "imageID": f"registry.test/shop@sha256:{'0' * 64}",
        "restartCount": 0,
        "ready": False,
        "state": state,
    }
    phase = "Failed" if failed else "Succeeded"
    world.kube.patch(
        world.path("pods", f"{name}-1") + "/status",
        {"status": {"phase": phase, "containerStatuses": [status]}},
    )
    world.finish_job(name, failed="the pod failed" if failed else "")


def runs(world: World, name: str) -> bool:
    """Plays the controllers; whether the app runs an image then."""
    world.until_ready()
    return image(world) == name


def warnings(world: World) -> list[dict[str, Any]]:
    problems = world.service()["status"].get("problems", [])
    return [item for item in problems if item["path"] == "spec.rollout.preflight"]


def test_a_broken_image_is_stopped_before_its_migration_and_a_fixed_one_continues(
    world: World,
) -> None:
    operator = world.start(build=build_desired_state)
    secret(world, "one", "db.example.com")
    database = {**external("one"), "pooler": {"engine": "None"}}
    world.apply(image="registry.test/shop:1", postgres=database, rollout=ENABLED)
    first = check(world)
    finish(world, first, "Passed", python="3.14.0", memoryBytes=70 << 20, routes=3)
    world.until_ready()
    found = world.service()["status"]["preflight"]
    assert (found["outcome"], found["python"], found["routes"]) == ("Passed", "3.14.0", 3)
    (migrated,) = migrations(world)

    world.apply(image="registry.test/shop:2", postgres=database, rollout=ENABLED)
    second = check(world, first)
    eventually(lambda: world.condition("MigrationsReady").get("reason") == "WaitingForPreflight")
    fault = {"reason": "MissingVariable", "message": "not set: KEY", "place": "/app/main.py:3"}
    finish(world, second, "Failed", **fault)
    eventually(lambda: world.condition("Stalled").get("reason") == "PreflightFailed")
    message = world.condition("PreflightReady")["message"]
    assert "not set: KEY, at /app/main.py:3; set them in spec.env" in message
    assert image(world) == "registry.test/shop:1"
    assert migrations(world) == [migrated]

    # A restarted operator knows the failure, and a variable that is set is checked at once.
    operator.stop()
    world.start(build=build_desired_state)
    eventually(lambda: world.condition("Stalled").get("reason") == "PreflightFailed")
    env = [{"name": "KEY", "value": "x"}]
    world.apply(image="registry.test/shop:2", postgres=database, rollout=ENABLED, env=env)
    third = check(world, first, second)
    assert migrations(world) == [migrated]
    finish(world, third, "Unknown", reason="NeedsConnection", message="it connects")
    # The released version may be ready before the new one is rolled out.
    eventually(lambda: runs(world, "registry.test/shop:2"))
    assert len(migrations(world)) == 2
    (warning,) = eventually(lambda: warnings(world))
    assert warning["message"] == "it connects"

    # The image of the first release was accepted, and so is the present one with other settings.
    known = jobs(world)
    world.apply(image="registry.test/shop:1", postgres=database, rollout=ENABLED)
    eventually(lambda: image(world) == "registry.test/shop:1")
    world.until_ready()
    assert jobs(world) == known
