"""Attempts to make a status lie: each one succeeded once."""

import time
from typing import Any

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.world import World, eventually

REPORT = {"name": "report", "schedule": "0 6 * * *", "command": ["report"]}


def failing(world: World, kind: str, *, reason: str = "") -> dict[str, Any]:
    """A condition that is False, with that reason; empty if it is not."""
    found = world.condition(kind)
    is_failing = found.get("status") == "False" and reason in ("", found["reason"])
    return found if is_failing else {}


def ready(world: World, **spec: Any) -> None:
    """Starts an operator and a service that is ready."""
    world.start(build=build_desired_state)
    world.apply(**spec)
    world.until_ready()


def test_a_failed_run_is_reported_while_the_next_one_is_active(world: World) -> None:
    ready(world, schedules=[REPORT])
    path = f"{world.path('cronjobs', 'shop-schedules-report')}/status"
    world.kube.patch(path, {"status": {"lastScheduleTime": "2026-11-22T06:00:00Z"}})
    eventually(lambda: failing(world, "SchedulesReady"))
    active = [{"kind": "Job", "name": "next"}]
    now = {"lastScheduleTime": "2026-11-23T06:00:00Z", "active": active}
    world.kube.patch(path, {"status": now})
    time.sleep(2)
    world.apply(schedules=[REPORT], image="registry.test/shop:2")  # a status of now
    world.until_ready()
    assert "the run of 2026-11-22T06:00:00Z failed" in failing(world, "SchedulesReady")["message"]


def test_a_deletion_names_what_it_waits_for(world: World) -> None:
    ready(world, queue={})
    for kind, name in (
        ("deployments", "shop-proxy"),
        ("persistentvolumeclaims", "shop-queue-data"),
    ):
        path = world.path(kind, name)
        world.kube.patch(path, {"metadata": {"finalizers": ["example.org/hold"]}})
        world.kube.delete(path)
    found = eventually(lambda: failing(world, "ProxyReady"))
    assert "it waits for the finalizers example.org/hold" in found["message"]
    assert "its data is lost when its pod ends" in failing(world, "QueueReady")["message"]


def test_pods_that_are_refused_until_the_deadline_stall_the_service(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply()
    body = eventually(lambda: world.get("deployments", "shop"))
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    status = {
        "observedGeneration": body["metadata"]["generation"],
        "conditions": [refused | {"message": "exceeded quota: pods"}, late],
    }
    world.kube.patch(f"{world.path('deployments', 'shop')}/status", {"status": status})
    stalled = eventually(lambda: (c := world.condition("Stalled")).get("status") == "True" and c)
    assert stalled["reason"] == "ProgressDeadlineExceeded"
    assert "exceeded quota: pods" in stalled["message"]


def test_a_service_that_waits_for_a_finalizer_is_not_ready(world: World) -> None:
    ready(world)
    path = world.path("fastapiservices", "shop")
    world.kube.patch(path, {"metadata": {"finalizers": ["example.org/hold"]}})
    world.kube.delete(path)
    found = eventually(lambda: failing(world, "Ready", reason="Deleting"))
    assert "it waits for the finalizers example.org/hold" in found["message"]
    # As the garbage collector does in the foreground; nothing is created again.
    world.kube.delete(world.path("deployments", "shop"))
    time.sleep(1)
    assert world.get("deployments", "shop") is None
    assert not world.is_ready()


def test_data_and_credentials_that_lost_their_labels_are_not_reported_as_lost(
    world: World,
) -> None:
    ready(world, queue={})
    found = [("persistentvolumeclaims", "shop-queue-data"), ("secrets", "shop-queue")]
    before = {item: world.get(*item) for item in found}
    for kind, name in found:
        labels = dict.fromkeys(before[kind, name]["metadata"]["labels"])  # type: ignore[index]
        world.kube.patch(world.path(kind, name), {"metadata": {"labels": labels}})
        eventually(
            lambda kind=kind, name=name: (
                world.get(kind, name)["metadata"].get("labels")  # type: ignore[index]
                == before[kind, name]["metadata"]["labels"]  # type: ignore[index]
            )
        )
    world.until_ready()
    secret = world.get("secrets", "shop-queue")
    assert secret is not None
    assert secret["data"] == before["secrets", "shop-queue"]["data"]  # type: ignore[index]
    assert world.kube.items(world.path("events")) == []


def test_a_volume_that_is_not_mounted_has_the_cause(world: World) -> None:
    world.start()
    world.apply()
    pod = world.create_pod()
    world.report_container(state={"waiting": {"reason": "ContainerCreating"}})
    message = 'MountVolume.SetUp failed for volume "tls": secret "shop-tls" not found'
    event = {
        "metadata": {"name": "shop-1.1", "namespace": world.namespace},
        "involvedObject": {
            "kind": "Pod",
            "name": "shop-1",
            "namespace": world.namespace,
            "uid": pod["metadata"]["uid"],
        },
        "type": "Warning",
        "reason": "FailedMount",
        "message": message,
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    world.kube.request("POST", f"/api/v1/namespaces/{world.namespace}/events", event)
    found = eventually(lambda: failing(world, "ApplicationReady", reason="FailedMount"))
    assert message in found["message"]
    assert message in world.condition("Ready")["message"]


def test_a_configuration_that_pods_have_not_read_yet_is_progress(world: World) -> None:
    ready(world)
    assert world.condition("Reconciling")["status"] == "False"
    time.sleep(2.1)  # times of Kubernetes have a resolution of a second
    world.apply(proxy={"maxBodySize": "7Mi"})
    world.until_ready()
    reconciling = world.condition("Reconciling")
    assert (reconciling["status"], reconciling["reason"]) == ("True", "Reloading")
    assert "read the changed configuration within" in reconciling["message"]


def test_a_forged_status_is_restored(world: World) -> None:
    operator = world.start(build=build_desired_state)
    world.apply(postgres={"migrations": {}})
    world.until_ready()
    path = f"{world.path('fastapiservices', 'shop')}/status"
    forged = {
        "problems": [
            {"severity": "error", "path": item, "message": "forged"}
            for item in ("spec", "spec.postgres.migrations")
        ],
        "pending": [{"name": "rollout", "reason": "forged"}],
        "tuning": [{"name": "pool.size", "value": 9, "reason": "forged", "source": "spec"}],
        "entries": [{"name": "forged", "url": "https://forged.example.com"}],
        "url": "https://forged.example.com",
        "imageDigest": "sha256:forged",
        "migration": {"revision": "forged", "database": "forged"},
        "connectionBudget": {"direct": 9},
    }
    before = eventually(lambda: settled(world))
    for restarted in (False, True):
        if restarted:
            operator.stop()
        conditions = [
            *(item | {"message": "forged"} for item in before["conditions"]),
            before["conditions"][0] | {"type": "Forged"},
        ]
        world.kube.patch(path, {"status": forged | {"conditions": conditions}})
        if restarted:
            world.start(build=build_desired_state)
        eventually(lambda: "forged" not in str(world.service()["status"]))
        eventually(lambda: without_times(world.service()["status"]) == without_times(before))


def settled(world: World) -> dict[str, Any]:
    """The status when it has not changed for a second."""
    before = world.service()["status"]
    time.sleep(1)
    return before if world.service()["status"] == before else {}


def without_times(status: dict[str, Any]) -> dict[str, Any]:
    """A condition that was forged begins again."""
    conditions = [item | {"lastTransitionTime": ""} for item in status["conditions"]]
    return status | {"conditions": sorted(conditions, key=lambda item: item["type"])}
