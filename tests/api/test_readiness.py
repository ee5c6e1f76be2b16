"""A service is Ready if at least the smallest number of its pods serve."""

import time
from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from fastapi_operator.tuning import figures
from tests.api.world import World, eventually


def scale(world: World, count: int, *, manager: str = "kubectl", name: str = "shop") -> None:
    """Scales a Deployment as ``kubectl scale`` and the autoscaler do."""
    path = f"{world.path('deployments', name)}/scale"
    world.kube.patch(path, {"spec": {"replicas": count}}, manager=manager)


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def report(
    world: World, *, live: int, available: int, name: str = "shop", available_since: str = ""
) -> None:
    """Reports the pods of a Deployment as its controller does."""
    body = world.get("deployments", name)
    assert body is not None
    status: dict[str, Any] = {
        "observedGeneration": body["metadata"]["generation"],
        "replicas": live,
        "updatedReplicas": live,
        "readyReplicas": available,
        "availableReplicas": available,
    }
    if available_since:
        condition = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
        status["conditions"] = [condition | {"lastTransitionTime": available_since}]
    world.kube.patch(f"{world.path('deployments', name)}/status", {"status": status})


def replicas(world: World, name: str = "shop") -> int:
    body = world.get("deployments", name)
    assert body is not None
    return int(body["spec"]["replicas"])


def warnings(world: World) -> list[dict[str, Any]]:
    events = world.kube.items(world.path("events"))
    return [event for event in events if event["type"] == "Warning"]


def test_an_autoscaled_app_that_was_scaled_to_zero_is_not_ready_and_is_restored(
    world: World,
) -> None:
    world.start(build=build_desired_state)
    world.apply()
    world.until_ready()
    # While the service is suspended, the number stays, and the status does not hide it.
    world.apply(suspend=True)
    eventually(lambda: world.condition("Ready").get("reason") == "Suspended")
    scale(world, 0)
    report(world, live=0, available=0)
    found = eventually(
        lambda: (c := world.condition("ApplicationReady"))["status"] == "False" and c
    )
    assert "scaled to 0, which disables its autoscaler" in found["message"]
    assert "spec.suspend" in found["message"]
    assert world.condition("Ready")["status"] == "False"
    assert replicas(world) == 0

    world.apply()
    eventually(lambda: replicas(world) == 2)
    world.until_ready()
    # From there on the autoscaler changes the number again.
    scale(world, 4, manager="kube-controller-manager")
    report(world, live=4, available=4)
    time.sleep(1.0)
    world.apply(env=[{"name": "A", "value": "1"}])
    world.until_ready()
    assert replicas(world) == 4


def test_an_autoscaler_that_adds_pods_is_progress_and_no_trouble(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply()
    world.until_ready()
    since = world.condition("Ready")["lastTransitionTime"]
    scale(world, 6, manager="kube-controller-manager")
    time.sleep(1.0)
    report(world, live=6, available=2)
    progress = eventually(lambda: (c := world.condition("Reconciling"))["status"] == "True" and c)
    assert progress["reason"] == "ScalingOut"
    assert "2 of 6 pods are ready, 2 are needed" in progress["message"]
    assert world.is_ready()
    # Fewer than the smallest number are trouble.
    report(world, live=6, available=1)
    eventually(lambda: world.condition("Ready")["status"] == "False")
    report(world, live=6, available=6)
    eventually(lambda: world.is_ready() and world.condition("Reconciling")["status"] == "False")
    assert world.condition("Ready")["lastTransitionTime"] >= since


def test_a_service_is_ready_once_its_proxy_knows_the_first_pods(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "ADDRESS_SECONDS", 4)
    world.start(build=build_desired_state)
    world.apply()
    eventually(lambda: world.get("deployments", "shop"))
    report(world, live=2, available=2, available_since=now())
    began = time.monotonic()
    world.until_ready()
    # Kubernetes' time has whole seconds.
    assert time.monotonic() - began >= figures.ADDRESS_SECONDS - 1
    # While an autoscaler adds pods, fewer than all are available, but the proxy knows some.
    scale(world, 6, manager="kube-controller-manager")
    report(world, live=6, available=2)
    eventually(lambda: world.condition("Reconciling")["status"] == "True")
    report(world, live=6, available=6, available_since=now())
    eventually(lambda: world.condition("Reconciling")["status"] == "False")
    assert world.is_ready()


def test_adding_pods_posts_no_warning(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply()
    world.until_ready()
    for count in (3, 5, 8):
        scale(world, count, manager="kube-controller-manager")
        time.sleep(0.5)
        report(world, live=count, available=2)
        eventually(
            lambda count=count: f"2 of {count} pods" in world.condition("Reconciling")["message"],
            within=30,
        )
        assert world.is_ready()
    assert warnings(world) == []


def test_a_proxy_that_was_scaled_by_hand_is_restored(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply()
    world.until_ready()
    before = replicas(world, "shop-proxy")
    scale(world, 0, name="shop-proxy")
    eventually(lambda: replicas(world, "shop-proxy") == before)
    world.until_ready()


def test_a_requested_zero_is_ready_with_a_message(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(scaling={"replicas": 0})
    world.until_ready()
    assert "0 pods are requested" in world.condition("ApplicationReady")["message"]


def test_the_real_autoscaler_works_again_after_zero_pods(controlled_world: World) -> None:
    world = controlled_world
    world.start(build=build_desired_state)
    world.apply()
    eventually(lambda: world.get("horizontalpodautoscalers", "shop"))
    scale(world, 0)
    eventually(lambda: replicas(world) == 2)
    world.apply(scaling={"minReplicas": 4})
    eventually(lambda: replicas(world) == 4, within=60)
    entries = world.get("deployments", "shop")["metadata"]["managedFields"]
    managers = {e["manager"] for e in entries if "f:replicas" in e["fieldsV1"].get("f:spec", {})}
    assert managers == {"kube-controller-manager"}
