"""A queue holds messages without a copy: its volume and credentials stay together."""

import time

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.world import World, eventually


def test_a_retained_queue_is_adopted_again(controlled_world: World) -> None:
    world = controlled_world
    world.start(build=build_desired_state)
    world.apply(queue={})
    eventually(lambda: world.get("statefulsets", "shop-queue"))
    secret = world.get("secrets", "shop-queue")
    claim = world.get("persistentvolumeclaims", "shop-queue-data")
    assert secret is not None
    assert claim is not None
    world.kube.delete(world.path("fastapiservices", "shop"))
    eventually(lambda: world.get("statefulsets", "shop-queue") is None, within=60)
    time.sleep(2.0)

    since = world.mark()
    world.apply(queue={"engine": "Valkey"})
    eventually(lambda: world.get("statefulsets", "shop-queue"))
    eventually(lambda: world.condition("QueueReady"))
    for kind, before in (("secrets", secret), ("persistentvolumeclaims", claim)):
        after = world.get(kind, before["metadata"]["name"])
        assert after is not None
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert "ownerReferences" not in after["metadata"]
    touched = [text for text in world.writes(since) if "secrets" in text or "claims" in text]
    assert touched == []


def test_credentials_of_an_existing_queue_are_not_generated_again(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(queue={})
    world.until_ready()
    world.kube.delete(world.path("secrets", "shop-queue"))
    eventually(lambda: world.condition("Stalled").get("reason") == "CredentialsLost")
    assert "shop-queue-data" in world.condition("Stalled")["message"]
    assert world.get("secrets", "shop-queue") is None


def test_a_queue_with_policy_delete_and_a_cache_are_deleted_with_the_service(world: World) -> None:
    world.start(build=build_desired_state)
    service = world.apply(queue={"deletionPolicy": "Delete"}, redis={"persistence": {}})
    world.until_ready()
    for kind, names in (
        ("secrets", ("shop-queue", "shop-redis")),
        ("persistentvolumeclaims", ("shop-queue-data", "shop-redis-data")),
    ):
        for name in names:
            found = world.get(kind, name)
            assert found is not None
            owners = [owner["uid"] for owner in found["metadata"]["ownerReferences"]]
            assert owners == [service["metadata"]["uid"]], name
