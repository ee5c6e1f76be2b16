"""Children are created, kept, and repaired."""

from tests.api.conftest import World, eventually


def test_children_are_created_and_owned(world: World) -> None:
    world.start()
    created = world.apply()
    deployment = eventually(lambda: world.get("deployments", "shop"))
    owner = deployment["metadata"]["ownerReferences"][0]
    assert owner["uid"] == created["metadata"]["uid"]
    assert owner["controller"] is True
    assert owner["blockOwnerDeletion"] is False
    world.until_ready()
    body = world.service()
    assert "finalizers" not in body["metadata"]
    assert "annotations" not in body["metadata"]
