"""The status contract: conditions, generations, transitions, size, and messages of pods."""

import datetime
import json
import time
from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.world import World, eventually

FULL: dict[str, Any] = {
    "app": "shop.main:app",
    "redis": {},
    "postgres": {"migrations": {}},
}


def conditions(world: World) -> dict[str, dict[str, Any]]:
    """The conditions by type."""
    found = world.service().get("status", {}).get("conditions", [])
    return {item["type"]: item for item in found}


def test_a_new_service_is_never_reported_as_current(world: World) -> None:
    body = world.apply()
    assert body["status"]["observedGeneration"] == -1


def test_conditions_follow_kstatus(world: World) -> None:
    world.start()
    world.apply()
    first = eventually(lambda: conditions(world))
    assert first["Ready"]["status"] == "False"
    assert first["Reconciling"]["status"] == "True"
    assert first["Stalled"]["status"] == "False"
    world.until_ready()
    last = conditions(world)
    assert last["Ready"]["status"] == "True"
    assert last["Reconciling"]["status"] == "False"
    assert last["ApplicationReady"]["status"] == "True"
    generation = world.service()["metadata"]["generation"]
    assert {item["observedGeneration"] for item in last.values()} == {generation}
    assert world.service()["status"]["observedGeneration"] == generation


def test_transition_times_move_only_with_the_status(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    before = conditions(world)
    time.sleep(1.1)  # times have a resolution of a second
    world.apply(image="registry.test/shop:2")
    eventually(lambda: world.condition("Ready").get("status") == "False")
    world.until_ready()
    after = conditions(world)
    assert after["Stalled"]["lastTransitionTime"] == before["Stalled"]["lastTransitionTime"]
    assert after["Ready"]["lastTransitionTime"] != before["Ready"]["lastTransitionTime"]


def test_ready_requires_the_newest_generation(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    world.apply(image="registry.test/shop:2")
    eventually(lambda: world.condition("Ready").get("observedGeneration") == 2)
    # The Deployment's status is still of the old generation: its controller has not rolled it out.
    time.sleep(1.0)
    assert world.condition("Ready")["status"] == "False"


def test_an_autoscaler_without_metrics_does_not_keep_a_service_from_ready(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    no_metrics = {
        "type": "ScalingActive",
        "status": "False",
        "reason": "FailedGetResourceMetric",
        "message": "no metrics known",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    path = f"{world.path('horizontalpodautoscalers', 'shop')}/status"
    body = {"status": {"conditions": [no_metrics], "currentReplicas": 2, "desiredReplicas": 0}}
    world.kube.patch(path, body)
    eventually(lambda: world.condition("AutoscalingReady").get("reason") == no_metrics["reason"])
    assert world.condition("AutoscalingReady")["status"] == "False"
    assert world.is_ready()


def test_a_cleared_status_is_written_again(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    path = f"{world.path('fastapiservices', 'shop')}/status"
    world.kube.patch(path, {"status": {"conditions": None, "observedGeneration": -1}})
    eventually(world.is_ready)


@pytest.mark.parametrize(
    ("state", "reason", "message"),
    [
        (
            {"waiting": {"reason": "ImagePullBackOff", "message": "not found: shop:1"}},
            "ImagePullBackOff",
            "not found: shop:1",
        ),
        (
            {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" missing'}},
            "CreateContainerConfigError",
            'secret "x" missing',
        ),
        (
            {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
            "CrashLoopBackOff",
            "cannot reach postgresql://***@db/app",
        ),
        ({"running": {}}, "ProbeFailing", "readiness probe"),
    ],
)
def test_pods_say_why_a_workload_is_unready(
    world: World, state: dict[str, Any], reason: str, message: str
) -> None:
    world.start()
    world.apply()
    world.create_pod()
    container: dict[str, Any] = {"state": state}
    if reason == "CrashLoopBackOff":
        log = "cannot reach postgresql://app:hunter2@db/app"
        container["lastState"] = {"terminated": {"exitCode": 1, "message": log}}
        container["restartCount"] = 3
    world.report_container(**container)

    def explained() -> dict[str, Any] | None:
        found = world.condition("ApplicationReady")
        return found if found.get("reason") == reason else None

    condition = eventually(explained, within=15)
    assert condition["status"] == "False"
    assert message in condition["message"]
    assert "shop-1" in condition["message"]
    assert "hunter2" not in json.dumps(world.service())
    assert message in world.condition("Ready")["message"]


def create_foreign_pod(world: World, name: str) -> None:
    """Creates a pod of another controller that has copied our labels."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "other", "uid": "1"}
    world.create_pod(name, ownerReferences=[{**owner, "controller": True}])


def test_the_pods_of_another_controller_are_not_quoted(world: World) -> None:
    world.start()
    world.apply()
    world.create_pod("own")
    create_foreign_pod(world, "foreign")
    # The worse reason is that of the foreign pod.
    for pod, reason in (("own", "CrashLoopBackOff"), ("foreign", "ImagePullBackOff")):
        state = {"waiting": {"reason": reason, "message": "back-off"}}
        world.report_container(pod, restartCount=3, state=state)
    known = ("CrashLoopBackOff", "ImagePullBackOff")
    eventually(lambda: world.condition("ApplicationReady").get("reason") in known, within=15)
    assert world.condition("ApplicationReady")["message"].startswith("pod own, ")


def test_a_starting_pod_is_a_rollout_and_later_reported_by_its_probe(world: World) -> None:
    world.start()
    world.apply()
    world.create_pod()

    def runs_since(moment: datetime.datetime) -> None:
        state = {"running": {"startedAt": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}}
        world.report_container(started=False, state=state)

    now = datetime.datetime.now(datetime.UTC)
    runs_since(now)
    time.sleep(7)  # A look, or two.
    assert world.condition("ApplicationReady")["reason"] in ("Progressing", "RollingOut")
    runs_since(now - datetime.timedelta(minutes=1))
    eventually(lambda: world.condition("ApplicationReady")["reason"] == "ProbeFailing", within=15)


def test_a_pod_that_cannot_be_scheduled_is_reported(world: World) -> None:
    world.start()
    world.apply()
    world.create_pod()
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu.",
    }
    path = f"{world.path('pods', 'shop-1')}/status"
    world.kube.patch(path, {"status": {"conditions": [condition]}})
    eventually(
        lambda: "Insufficient cpu" in world.condition("ApplicationReady").get("message", ""),
        within=15,
    )


def test_a_quota_that_rejects_pods_is_reported(controlled_world: World) -> None:
    world = controlled_world
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    world.kube.request("POST", f"/api/v1/namespaces/{world.namespace}/resourcequotas", quota)
    world.start()
    world.apply()
    condition = eventually(
        lambda: (
            "exceeded quota" in world.condition("ApplicationReady").get("message", "")
            and world.condition("ApplicationReady")
        ),
        within=30,
    )
    assert condition["reason"] == "FailedCreate"


def test_events_are_posted_on_transitions_only(world: World) -> None:
    world.start()
    world.apply(postgres={})
    world.until_ready()
    assert world.kube.items(world.path("events")) == []
    world.kube.delete(world.path("secrets", "shop-postgres"))
    (event,) = eventually(lambda: world.kube.items(world.path("events")))
    assert event["type"] == "Warning"
    assert event["reason"] == "CredentialsLost"
    assert event["regarding"]["name"] == "shop"
    time.sleep(1.0)
    assert len(world.kube.items(world.path("events"))) == 1


def test_a_long_message_is_posted_as_far_as_an_event_has_room(world: World) -> None:
    world.start(build=build_desired_state)
    ports = [{"containerPort": number} for number in range(70000, 70060)]
    world.apply(containers=[{"name": "a", "image": "a", "ports": ports}])
    (event,) = eventually(lambda: world.kube.items(world.path("events")))
    assert event["reason"] == world.condition("Stalled")["reason"]
    assert event["note"].endswith(
        f"… (whole text: fastapi-operator status shop -n {world.namespace})"
    )


def test_a_full_service_of_the_real_builders(world: World) -> None:
    """Every kind is applied strictly; then rest, restart, and a status of at most 8 KiB."""
    operator = world.start(build=build_desired_state)
    since = world.mark()
    world.apply(**FULL)
    world.until_ready()
    found = conditions(world)
    assert found["Ready"]["status"] == "True", found
    for kind in ("Application", "Database", "Cache", "Pooler", "Proxy", "Migrations"):
        assert found[f"{kind}Ready"]["status"] == "True", found
    status = world.service()["status"]
    assert len(json.dumps(status).encode()) <= 8192
    assert any(item["name"] == "server.workers" for item in status["tuning"])
    assert status["connectionBudget"]["maxConnections"] > 0

    looks = ("list pods/", "list events/")  # If that takes three seconds.
    requests = [text for text in world.requests(since) if not text.startswith(looks)]
    statuses = [text for text in requests if text.endswith("/status")]
    children = [text for text in requests if not text.endswith("/status")]
    assert len(set(children)) == len(children), children
    assert len(statuses) <= 4, statuses

    time.sleep(1.0)
    since = world.mark()
    time.sleep(3.0)
    assert world.requests(since) == []
    operator.stop()
    since = world.mark()
    world.start(build=build_desired_state)
    time.sleep(3.0)
    assert world.writes(since) == []


def test_the_image_digest_of_ready_pods_is_reported(world: World) -> None:
    digest = f"sha256:{'ab' * 32}"
    world.start(build=build_desired_state)
    world.apply(image="registry.test/shop:latest")
    running: dict[str, Any] = {"phase": "Running", "ready": True, "state": {"running": {}}}
    world.create_pod()
    world.report_container(imageID=f"registry.test/shop@{digest}", **running)
    for name in ("foreign-1", "foreign-2"):
        create_foreign_pod(world, name)
        other = f"registry.test/other@sha256:{'cd' * 32}"
        world.report_container(name, imageID=other, **running)
    world.until_ready()
    eventually(lambda: world.service()["status"].get("imageDigest") == digest, within=30)
    (problem,) = [p for p in world.service()["status"]["problems"] if p["path"] == "spec.image"]
    assert "a digest with @sha256" in problem["message"]
    since = world.mark()
    time.sleep(2)
    assert world.requests(since) == []
