"""Argo CD and Flux, asked of live services in each state; UPDATE_GOLDEN=1 records the states."""

import os

import yaml

from fastapi_operator.reconcile.drawing import draw
from tests.api.world import World, eventually
from tests.charts.test_gitops import RECORDED, STATES
from tests.judges import health

_FINALIZER = "example.com/hold"


def judge(world: World, state: str) -> None:
    """Holds the live service against what both must say of this state."""
    body = world.service()
    del body["metadata"]["managedFields"]
    if os.environ.get("UPDATE_GOLDEN"):
        RECORDED.mkdir(exist_ok=True)
        (RECORDED / f"{state}.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
    argo, flux = STATES[state]
    assert health.argo(body)[0] == argo, state
    assert health.flux(body) == flux, state


def test_each_state_is_seen_for_what_it_is(world: World) -> None:
    world.apply()
    judge(world, "new")

    operator = world.start(make=draw)
    eventually(lambda: world.condition("Reconciling").get("status") == "True")
    judge(world, "progressing")

    world.until_ready()
    judge(world, "healthy")

    world.apply(suspend=True)
    eventually(lambda: world.condition("Ready").get("reason") == "Suspended")
    judge(world, "suspended")

    world.apply(profile="of-nobody")
    eventually(lambda: world.condition("Stalled").get("status") == "True")
    judge(world, "stalled")

    world.apply()
    world.until_ready()
    operator.stop()
    world.apply(port=9000)
    judge(world, "changed")

    path = world.path("fastapiservices", "shop")
    world.kube.patch(path, {"metadata": {"finalizers": [_FINALIZER]}})
    world.kube.delete(path)
    judge(world, "deleting")
    world.kube.patch(path, {"metadata": {"finalizers": None}})
