"""Pods are replaced when a Secret or ConfigMap that they read changes, and only then."""

import base64
import json
import time
from typing import Any

from fastapi_operator.reconcile.observe.references import STAMP_ANNOTATION
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.world import World, eventually

WATCHED = {"fastapi-operator.io/watched": "true"}
ENV: list[dict[str, Any]] = [
    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}
]


def secret(world: World, **values: str) -> dict[str, Any]:
    """Writes the user's own Secret, watched."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "data": data}
    body["metadata"] = {"name": "keys", "labels": WATCHED}
    return world.kube.apply(world.path("secrets", "keys"), body, force="true")


def stamp(world: World, name: str = "shop") -> dict[str, str]:
    """The hashes in the pod template of a Deployment."""
    deployment = world.get("deployments", name)
    assert deployment is not None
    annotations = deployment["spec"]["template"]["metadata"].get("annotations", {})
    found: dict[str, str] = json.loads(annotations.get(STAMP_ANNOTATION, "{}"))
    return found


def missing(world: World) -> bool:
    """Whether the status shows that the Secret may be missing."""
    return any("Secret keys does not exist" in text for text in warnings(world))


def warnings(world: World) -> list[str]:
    return [item["message"] for item in world.service()["status"].get("problems", [])]


def test_a_changed_key_that_the_app_reads_restarts_it(world: World) -> None:
    secret(world, token="one", other="x")
    world.start(build=build_desired_state)
    world.apply(env=ENV)
    world.until_ready()
    before = stamp(world)
    assert list(before) == ["Secret/keys"]
    since = world.mark()
    secret(world, token="two", other="x")
    eventually(lambda: stamp(world) != before)
    world.until_ready()
    assert world.child_writes(since) == ["patch deployments/shop"]


def test_an_unread_key_restarts_no_pods(world: World) -> None:
    secret(world, token="one", other="x")
    world.start(build=build_desired_state)
    world.apply(env=ENV)
    world.until_ready()
    since = world.mark()
    secret(world, token="one", other="y")
    time.sleep(1.0)
    assert world.writes(since) == []


def test_a_key_that_changed_while_the_operator_was_down_restarts_the_app(world: World) -> None:
    secret(world, token="one")
    operator = world.start(build=build_desired_state)
    world.apply(env=ENV)
    world.until_ready()
    before = stamp(world)
    operator.stop()
    secret(world, token="two")
    world.start(build=build_desired_state)
    eventually(lambda: stamp(world) != before)


def test_a_deleted_secret_does_not_replace_pods_that_run(world: World) -> None:
    secret(world, token="one")
    operator = world.start(build=build_desired_state)
    world.apply(env=ENV)
    world.until_ready()
    since = world.mark()
    world.kube.delete(world.path("secrets", "keys"))
    time.sleep(1.0)
    assert [text for text in world.writes(since) if "deployments" in text] == []
    eventually(lambda: missing(world))
    operator.stop()
    world.start(build=build_desired_state)
    world.apply(env=ENV, proxy={"maxBodySize": "7Mi"})  # a status of now
    eventually(lambda: world.condition("Ready")["observedGeneration"] == 2)
    assert missing(world)
    assert [text for text in world.writes(since) if "deployments" in text] == []
    secret(world, token="one")
    eventually(lambda: not missing(world))


def test_a_secret_without_the_label_is_a_warning_until_it_is_labelled(world: World) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}}
    world.kube.request("POST", world.path("secrets"), body)
    world.start(build=build_desired_state)
    world.apply(envFrom=[{"secretRef": {"name": "keys"}}])
    world.until_ready()
    (message,) = [text for text in warnings(world) if "keys" in text]
    assert "kubectl label secret keys -n " in message
    world.kube.patch(world.path("secrets", "keys"), {"metadata": {"labels": WATCHED}})
    eventually(lambda: stamp(world))
    world.until_ready()
    eventually(lambda: not [text for text in warnings(world) if "keys" in text])


def test_a_new_cache_password_reaches_the_cache_and_the_app(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(redis={})
    world.until_ready()
    app, cache = stamp(world), stamp(world, "shop-redis")
    assert list(app) == list(cache) == ["Secret/shop-redis"]
    since = world.mark()
    world.kube.delete(world.path("secrets", "shop-redis"))
    eventually(lambda: world.get("secrets", "shop-redis"))
    eventually(lambda: stamp(world) != app and stamp(world, "shop-redis") != cache)
    world.until_ready()
    assert sorted(world.child_writes(since)) == [
        "create secrets/shop-redis",
        "patch deployments/shop",
        "patch deployments/shop-redis",
    ]


def test_no_value_can_be_read_from_the_stamp(world: World) -> None:
    """Two Secrets of one value have different stamps: there is no table to look it up in."""
    secret(world, token="one")
    world.start(build=build_desired_state)
    world.apply(env=ENV)
    world.until_ready()
    before = stamp(world)
    world.kube.delete(world.path("secrets", "keys"))
    secret(world, token="one")
    eventually(lambda: stamp(world) != before)


def test_each_of_many_rotations_reaches_the_pods(world: World) -> None:
    """A value that changes often is not a client that reverts the operator's writes."""
    secret(world, token="0")
    world.start(build=build_desired_state)
    world.apply(env=ENV)
    world.until_ready()
    for number in range(1, 9):
        before = stamp(world)
        secret(world, token=str(number))
        eventually(lambda before=before: stamp(world) != before)
    world.until_ready()
    assert world.condition("Stalled")["status"] == "False"
