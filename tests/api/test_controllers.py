"""The real controllers of Kubernetes copy labels to their own objects; those are never ours."""

import time
from typing import Any

from tests.api.test_migrations import POSTGRES, image, jobs
from tests.api.world import World, eventually


def release_records(world: World) -> list[str]:
    """Names of the ControllerRevisions that FastAPIServices own."""
    return sorted(
        body["metadata"]["name"]
        for body in world.kube.items(world.path("controllerrevisions"))
        if _controller(body) == "FastAPIService"
    )


def revisions(world: World) -> list[dict[str, Any]]:
    """The ControllerRevisions of StatefulSets."""
    found = world.kube.items(world.path("controllerrevisions"))
    return [body for body in found if _controller(body) == "StatefulSet"]


def _controller(body: dict[str, Any]) -> str:
    references = body["metadata"].get("ownerReferences") or ()
    return next((item["kind"] for item in references if item.get("controller")), "")


def test_revisions_of_a_stateful_set_are_no_release_records(controlled_world: World) -> None:
    world = controlled_world
    world.start()
    world.apply(postgres=POSTGRES)
    # The controller makes the first revision before the database has ever been ready.
    eventually(lambda: revisions(world))
    time.sleep(0.5)
    labels = revisions(world)[0]["metadata"]["labels"]
    assert labels["fastapi-operator.io/service"] == "shop"
    assert labels["fastapi-operator.io/watched"] == "true"
    assert world.get("deployments", "shop") is None
    assert world.condition("ApplicationReady")["status"] == "False"
    world.until_really_ready()
    assert release_records(world) == ["shop-release-1"]

    # A restart of the database, and another, give it revisions with higher numbers than ours.
    path = world.path("statefulsets", "shop-postgres")
    for number in range(3):
        template = {"metadata": {"annotations": {"restarted": str(number)}}}
        world.kube.patch(path, {"spec": {"template": template}})
        eventually(lambda n=number: len(revisions(world)) >= n + 2)
    world.apply(image="registry.test/shop:2", postgres=POSTGRES)
    world.until_really_ready()
    assert len(jobs(world)) == 2
    assert release_records(world) == ["shop-release-1", "shop-release-2"]

    world.apply(image="registry.test/shop:1", postgres=POSTGRES)
    world.until_really_ready()
    assert image(world) == "registry.test/shop:1"
    assert len(jobs(world)) == 2
    assert release_records(world) == [f"shop-release-{number}" for number in (1, 2, 3)]


def test_an_object_with_our_labels_and_name_is_not_taken_over(world: World) -> None:
    labels = {
        "fastapi-operator.io/service": "shop",
        "fastapi-operator.io/watched": "true",
    }
    foreign = {"metadata": {"name": "shop-app", "labels": labels}, "data": {"MINE": "1"}}
    before = world.kube.request("POST", world.path("configmaps"), foreign, fieldManager="blue-team")
    world.start()
    world.apply()
    stalled = eventually(
        lambda: (
            world.condition("Stalled").get("reason") == "NameTaken" and world.condition("Stalled")
        )
    )
    assert "blue-team" in stalled["message"]
    assert world.get("configmaps", "shop-app") == before


def test_a_quota_is_named_if_a_database_or_a_migration_gets_no_pod(
    controlled_world: World,
) -> None:
    world = controlled_world
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    quotas = f"/api/v1/namespaces/{world.namespace}/resourcequotas"
    world.kube.request("POST", quotas, quota)
    world.start()
    world.apply(postgres=POSTGRES)
    _until_refused(world, "DatabaseReady")
    world.kube.patch(f"{quotas}/none", {"spec": {"hard": {"pods": "1"}}})
    # The controller waits longer and longer between its attempts, but not after an edit.
    path = world.path("statefulsets", "shop-postgres")
    world.kube.patch(path, {"metadata": {"annotations": {"seen": "1"}}})
    eventually(lambda: world.run_pods() or world.condition("DatabaseReady")["status"] == "True")
    _until_refused(world, "MigrationsReady")


def _until_refused(world: World, kind: str) -> None:
    def is_refused() -> bool:
        found = world.condition(kind)
        return found.get("reason") == "FailedCreate" and "exceeded quota" in found["message"]

    eventually(is_refused)
