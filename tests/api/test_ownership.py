"""Names that are taken, fields that others hold, replicas that an autoscaler owns."""

import time
from pathlib import Path
from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.kube import Kube
from tests.api.world import World, eventually
from tests.faults import admission


@pytest.mark.parametrize("labelled", [False, True])
def test_an_object_of_another_owner_is_never_written(world: World, labelled: bool) -> None:
    labels = {"fastapi-operator.io/watched": "true"} if labelled else {"team": "blue"}
    foreign = {"metadata": {"name": "shop-app", "labels": labels}, "data": {"MINE": "1"}}
    before = world.kube.request("POST", world.path("configmaps"), foreign, fieldManager="blue-team")
    world.start()
    world.apply()
    stalled = eventually(
        lambda: (
            world.condition("Stalled").get("reason") == "NameTaken" and world.condition("Stalled")
        )
    )
    assert "ConfigMap" in stalled["message"]
    assert "shop-app" in stalled["message"]
    assert "blue-team" in stalled["message"]
    assert world.get("configmaps", "shop-app") == before
    # The others are written all the same.
    assert eventually(lambda: world.get("services", "shop"))


def test_a_name_that_becomes_free_is_used(world: World) -> None:
    foreign = {"metadata": {"name": "shop-app"}, "data": {"MINE": "1"}}
    world.kube.request("POST", world.path("configmaps"), foreign)
    world.start()
    world.apply()
    eventually(lambda: world.condition("Stalled").get("reason") == "NameTaken")
    world.kube.delete(world.path("configmaps", "shop-app"))
    # No watch reports the deletion of an object without its label; a new spec lists it again.
    world.apply(image="registry.test/shop:2")
    world.until_ready()


def test_a_secret_of_another_service_is_not_used(world: World) -> None:
    labels = {
        "fastapi-operator.io/watched": "true",
        "fastapi-operator.io/service": "other",
    }
    foreign = {"metadata": {"name": "shop-postgres", "labels": labels}}
    world.kube.request("POST", world.path("secrets"), foreign)
    world.start()
    world.apply(postgres={})
    eventually(lambda: world.condition("Stalled").get("reason") == "NameTaken")
    assert "data" not in world.get("secrets", "shop-postgres")


def test_a_field_taken_by_force_is_taken_back(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "shop-app"},
        "data": {"GREETING": "bye"},
    }
    world.kube.apply(world.path("configmaps", "shop-app"), body, manager="rival", force="true")
    eventually(lambda: world.get("configmaps", "shop-app")["data"]["GREETING"] == "hello")


def test_a_drift_loop_is_stopped_and_reported(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    since = world.mark()
    deadline = time.monotonic() + 30
    while world.condition("Stalled").get("reason") != "DriftLoop":
        assert time.monotonic() < deadline
        world.kube.patch(
            world.path("configmaps", "shop-app"), {"data": {"GREETING": "bye"}}, manager="rival"
        )
        time.sleep(0.1)
    assert "rival" in world.condition("Stalled")["message"]
    writes = [text for text in world.writes(since) if text == "patch configmaps/shop-app"]
    assert len(writes) <= 5


def test_a_field_that_a_webhook_overrides_is_reported_and_later_restored(
    world: World, tmp_path: Path
) -> None:
    world.start(build=build_desired_state, settings={"resync_seconds": 10})
    world.apply()
    world.until_ready()
    since = world.mark()
    with admission.overriding(world.kube, tmp_path, ["shop"]):
        world.apply(image="registry.test/shop:2")
        world.until_ready()
        assert image(world) == f"{admission.MIRROR}registry.test/shop:2"
        message = eventually(lambda: world.service()["status"].get("problems"))[0]["message"]
        assert f"Deployment {world.namespace}/shop" in message
        assert "spec.template.spec.containers[app].image" in message
        time.sleep(3.0)
    patches = [text for text in world.writes(since) if text == "patch deployments/shop"]
    assert len(patches) <= 3
    eventually(lambda: "problems" not in world.service()["status"], within=30)
    assert image(world) == "registry.test/shop:2"


def image(world: World) -> str:
    """The live image of the app."""
    pod = world.get("deployments", "shop")["spec"]["template"]["spec"]
    return next(item["image"] for item in pod["containers"] if item["name"] == "app")


def scale(kube: Kube, path: str, count: int) -> None:
    """Scales as the autoscaler does: through the scale subresource."""
    kube.patch(f"{path}/scale", {"spec": {"replicas": count}}, manager="kube-controller-manager")


def replicas(world: World) -> int:
    """The live replicas of the app."""
    return int(world.get("deployments", "shop")["spec"]["replicas"])


def test_replicas_of_the_autoscaler_are_not_written(world: World) -> None:
    operator = world.start()
    world.apply()
    world.until_ready()
    assert replicas(world) == 2
    since = world.mark()
    scale(world.kube, world.path("deployments", "shop"), 5)
    time.sleep(1.0)
    assert not [text for text in world.writes(since) if "deployments" in text]
    # A new version, and a restart, keep the autoscaler's number.
    world.apply(image="registry.test/shop:2")
    world.until_ready()
    assert replicas(world) == 5
    operator.stop()
    world.start()
    world.apply(image="registry.test/shop:3")
    world.until_ready()
    assert replicas(world) == 5
    assert _managers_of_replicas(world) == {"kube-controller-manager"}


def test_the_live_count_is_kept_until_the_autoscaler_owns_it(world: World) -> None:
    world.start()
    world.apply(scaling={"replicas": 4})
    world.until_ready()
    world.apply(scaling={"maxReplicas": 8})
    eventually(lambda: world.get("horizontalpodautoscalers", "shop"))
    world.apply(image="registry.test/shop:2", scaling={"maxReplicas": 8})
    world.until_ready()
    assert replicas(world) == 4
    assert _managers_of_replicas(world) == {"fastapi-operator"}
    scale(world.kube, world.path("deployments", "shop"), 7)
    world.apply(image="registry.test/shop:3", scaling={"maxReplicas": 8})
    world.until_ready()
    assert replicas(world) == 7


def test_fixed_replicas_are_kept(world: World) -> None:
    world.start()
    world.apply(scaling={"replicas": 3})
    world.until_ready()
    scale(world.kube, world.path("deployments", "shop"), 6)
    eventually(lambda: replicas(world) == 3)
    world.until_ready()


def _managers_of_replicas(world: World) -> set[str]:
    entries: list[dict[str, Any]] = world.get("deployments", "shop")["metadata"]["managedFields"]
    return {
        entry["manager"] for entry in entries if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }
