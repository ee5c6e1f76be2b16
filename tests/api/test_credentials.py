"""Credentials and volumes: made once, never rewritten, kept beyond the service."""

import base64
import time

import pytest

from tests.api.world import World, eventually


def test_credentials_are_generated_once(world: World) -> None:
    operator = world.start()
    world.apply(postgres={})
    world.until_ready()
    secret = world.get("secrets", "shop-postgres")
    password = base64.b64decode(secret["data"]["password"]).decode()
    assert len(password) == 32
    assert password.isalnum()
    url = base64.b64decode(secret["data"]["url"]).decode()
    assert url == f"postgresql://app:{password}@shop-postgres/app"
    assert "ownerReferences" not in secret["metadata"]
    operator.stop()
    world.start()
    world.apply(image="registry.test/shop:2", postgres={})
    world.until_ready()
    assert world.get("secrets", "shop-postgres") == secret


def test_credentials_that_a_user_changed_are_kept(world: World) -> None:
    world.start()
    world.apply(postgres={})
    world.until_ready()
    since = world.mark()
    chosen = base64.b64encode(b"chosen").decode()
    world.kube.patch(world.path("secrets", "shop-postgres"), {"data": {"password": chosen}})
    time.sleep(1.0)
    assert world.writes(since) == []
    assert world.get("secrets", "shop-postgres")["data"]["password"] == chosen


def test_lost_credentials_are_not_generated_again(world: World) -> None:
    world.start()
    world.apply(postgres={})
    world.until_ready()
    secret = world.get("secrets", "shop-postgres")
    world.kube.delete(world.path("secrets", "shop-postgres"))
    stalled = eventually(
        lambda: (
            world.condition("Stalled").get("reason") == "CredentialsLost"
            and world.condition("Stalled")
        )
    )
    assert stalled["status"] == "True"
    assert "Secret" in stalled["message"]
    assert "restore" in stalled["message"]
    assert "shop-postgres" in stalled["message"]
    assert world.condition("Ready")["status"] == "False"
    time.sleep(1.0)
    assert world.get("secrets", "shop-postgres") is None

    restored = {"data": secret["data"], "metadata": {"name": "shop-postgres"}}
    restored["metadata"]["labels"] = secret["metadata"]["labels"]
    world.kube.request("POST", world.path("secrets"), restored)
    world.until_ready()
    assert world.condition("Stalled")["status"] == "False"


def test_retained_credentials_and_volumes_are_adopted_again(
    controlled_world: World,
) -> None:
    world = controlled_world
    world.start()
    world.apply(postgres={})
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    secret = world.get("secrets", "shop-postgres")
    claim = eventually(lambda: world.get("persistentvolumeclaims", "shop-postgres"))
    world.kube.delete(world.path("fastapiservices", "shop"))
    eventually(lambda: world.get("statefulsets", "shop-postgres") is None, within=60)
    time.sleep(2.0)
    assert world.get("secrets", "shop-postgres")["data"] == secret["data"]
    kept = world.get("persistentvolumeclaims", "shop-postgres")["metadata"]
    assert kept["uid"] == claim["metadata"]["uid"]

    since = world.mark()
    world.apply(postgres={})
    eventually(lambda: world.get("statefulsets", "shop-postgres"))
    eventually(lambda: world.condition("Ready"))
    assert world.get("secrets", "shop-postgres")["data"] == secret["data"]
    touched = [text for text in world.writes(since) if "secrets" in text or "claims" in text]
    assert touched == []


@pytest.mark.parametrize("kind", ["secrets", "persistentvolumeclaims"])
def test_deletion_policy_delete_hands_them_to_the_service(world: World, kind: str) -> None:
    world.start()
    uid = world.apply(postgres={})["metadata"]["uid"]
    world.until_ready()
    data = world.get(kind, "shop-postgres").get("data")
    world.apply(postgres={"deletionPolicy": "Delete"})

    def owners() -> list[str]:
        metadata = world.get(kind, "shop-postgres")["metadata"]
        return [reference["uid"] for reference in metadata.get("ownerReferences", [])]

    eventually(lambda: owners() == [uid])
    world.apply(postgres={"deletionPolicy": "Retain"})
    eventually(lambda: owners() == [])
    assert world.get(kind, "shop-postgres").get("data") == data


def test_a_removed_database_keeps_its_data(world: World) -> None:
    world.start()
    world.apply(postgres={})
    world.until_ready()
    world.apply(scaling={"replicas": 1})
    eventually(lambda: world.get("statefulsets", "shop-postgres") is None)
    time.sleep(0.5)
    assert world.get("secrets", "shop-postgres") is not None
    assert world.get("persistentvolumeclaims", "shop-postgres") is not None
