"""Fields that cannot be changed in place: the object is created again, unless it has data."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import (
    BuildDesiredState,
    build_desired_state,
)
from fastapi_operator.resources.desired import Desired
from tests.api import small
from tests.api.world import World, eventually

NEXT = "registry.test/shop:2"


def changing(kind: str, change: Mapping[str, Any]) -> BuildDesiredState:
    """Builds another ``spec`` of one kind from the second image on."""

    def changed(item: Desired) -> Desired:
        if item.key.kind != kind:
            return item
        return replace(item, body={**item.body, "spec": {**item.body["spec"], **change}})

    return small.changed(changed, image=NEXT)


SELECTOR = {"matchLabels": {"fastapi-operator.io/service": "shop"}}


@pytest.mark.parametrize(
    ("plural", "kind", "change"),
    [
        ("services", "Service", {"clusterIP": "None"}),
        ("deployments", "Deployment", {"selector": SELECTOR}),
    ],
)
def test_an_object_without_data_is_created_again(
    world: World, plural: str, kind: str, change: dict[str, Any]
) -> None:
    world.start(build=changing(kind, change))
    world.apply()
    world.until_ready()
    before = world.get(plural, "shop")["metadata"]["uid"]
    world.apply(image=NEXT)

    def is_new() -> bool:
        live = world.get(plural, "shop")
        return live is not None and live["metadata"]["uid"] != before

    eventually(is_new)
    world.until_ready()
    field = next(iter(change))
    assert world.get(plural, "shop")["spec"][field] == change[field]


def test_a_stateful_set_is_not_deleted_and_the_remedy_works(controlled_world: World) -> None:
    world = controlled_world
    world.start(build=changing("StatefulSet", {"serviceName": "other"}))
    world.apply(postgres={})
    before = eventually(lambda: world.get("statefulsets", "shop-postgres"))
    world.apply(image=NEXT, postgres={})
    stalled = eventually(
        lambda: (
            world.condition("Stalled").get("reason") == "ImmutableField"
            and world.condition("Stalled")
        )
    )
    assert "StatefulSet" in stalled["message"]
    assert "--cascade=orphan" in stalled["message"]
    kept = world.get("statefulsets", "shop-postgres")
    assert kept["metadata"]["uid"] == before["metadata"]["uid"]

    world.kube.delete(world.path("statefulsets", "shop-postgres"), propagationPolicy="Orphan")
    eventually(
        lambda: (
            (world.get("statefulsets", "shop-postgres") or before)["spec"]["serviceName"] == "other"
        ),
        within=30,
    )
    eventually(lambda: world.condition("Stalled").get("status") == "False")


def expandable(world: World, *, allowed: bool) -> str:
    """A StorageClass; returns its name."""
    name = f"{world.namespace}-{'grows' if allowed else 'fixed'}"
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "test.example.com/none",
        "allowVolumeExpansion": allowed,
    }
    world.kube.request("POST", "/apis/storage.k8s.io/v1/storageclasses", body)
    return name


def bind(world: World, claim: str) -> None:
    """Plays a provisioner: a claim grows only if it has its volume."""
    path = world.path("persistentvolumeclaims", claim)
    eventually(lambda: world.kube.get(path))
    world.kube.patch(path, {"spec": {"volumeName": f"{world.namespace}-volume"}})
    capacity = world.kube.get(path)["spec"]["resources"]["requests"]
    world.kube.patch(f"{path}/status", {"status": {"phase": "Bound", "capacity": capacity}})


def storage(size: str, class_name: str) -> dict[str, Any]:
    return {"storage": {"size": size, "className": class_name}}


def requested(world: World) -> str:
    claim = world.get("persistentvolumeclaims", "shop-postgres-data")
    return str(claim["spec"]["resources"]["requests"]["storage"])


def test_a_volume_grows_and_never_shrinks(world: World) -> None:
    grows = expandable(world, allowed=True)
    world.start(build=build_desired_state)
    world.apply(postgres=storage("1Gi", grows))
    bind(world, "shop-postgres-data")
    world.apply(postgres=storage("2Gi", grows))
    eventually(lambda: requested(world) == "2Gi")
    world.until_ready()

    world.apply(postgres=storage("1Gi", grows))
    condition = stalled(world, "ImmutableField")
    assert "cannot shrink to 1Gi; request 2Gi or more" in condition
    assert requested(world) == "2Gi"
    world.apply(postgres=storage("2Gi", grows))
    world.until_ready()
    since = world.mark()
    time.sleep(1.0)
    assert world.requests(since) == []


def test_a_volume_that_cannot_grow_is_reported_with_its_remedy(world: World) -> None:
    fixed = expandable(world, allowed=False)
    world.start(build=build_desired_state)
    world.apply(postgres=storage("1Gi", fixed))
    bind(world, "shop-postgres-data")
    world.apply(postgres=storage("2Gi", fixed))
    assert "set allowVolumeExpansion on its StorageClass" in stalled(world, "VolumeNotExpandable")
    world.apply(postgres=storage("1Gi", "another"))
    assert "cannot be changed to another" in stalled(world, "ImmutableField")
    world.apply(postgres=storage("1Gi", fixed))
    world.until_ready()


def stalled(world: World, reason: str) -> str:
    """The message of the Stalled condition once it has that reason."""
    found = eventually(
        lambda: world.condition("Stalled").get("reason") == reason and world.condition("Stalled")
    )
    return str(found["message"])


def test_a_resize_that_waits_or_is_refused_by_the_storage_is_reported(world: World) -> None:
    grows = expandable(world, allowed=True)
    world.start(build=build_desired_state)
    world.apply(postgres=storage("1Gi", grows))
    bind(world, "shop-postgres-data")
    world.apply(postgres=storage("4Gi", grows))
    eventually(lambda: requested(world) == "4Gi")
    world.until_ready()
    path = f"{world.path('persistentvolumeclaims', 'shop-postgres-data')}/status"

    def report(state: str | None, *conditions: dict[str, str]) -> None:
        states = {"storage": state} if state else None
        status = {"allocatedResourceStatuses": states, "conditions": list(conditions)}
        world.kube.patch(path, {"status": status})

    waits = {
        "type": "FileSystemResizePending",
        "status": "True",
        "message": "Waiting for user to (re-)start a pod",
    }
    report("NodeResizePending", waits)
    progress = eventually(lambda: (c := world.condition("Reconciling"))["status"] == "True" and c)
    assert progress["reason"] == "FileSystemResizePending"
    assert "1Gi of the requested 4Gi are in use" in progress["message"]
    assert "(re-)start a pod" in world.condition("DatabaseReady")["message"]
    assert world.is_ready()

    refused = {
        "type": "ControllerResizeError",
        "status": "True",
        "message": "quota of the disk exceeded",
    }
    report("ControllerResizeInfeasible", refused)
    found = eventually(lambda: (c := world.condition("DatabaseReady"))["status"] == "False" and c)
    assert found["reason"] == "ControllerResizeInfeasible"
    assert "quota of the disk exceeded" in found["message"]
    assert world.condition("Ready")["status"] == "False"

    # The remedy of the message: a smaller size that is larger than the volume.
    world.apply(postgres=storage("2Gi", grows))
    eventually(lambda: requested(world) == "2Gi")
    report(None)
    world.until_ready()
