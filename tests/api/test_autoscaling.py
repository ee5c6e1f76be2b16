"""KEDA's ScaledObject at its real schema, in the place of an autoscaler of Kubernetes and back."""

import copy
import os
from collections.abc import Iterator
from typing import Any

import pytest

from fastapi_operator.cluster.kinds import owned_kind
from fastapi_operator.reconcile.plan import desired_state
from tests.api.definitions import DEFINITIONS
from tests.api.kube import Kube
from tests.api.world import World, eventually, install_crd, world_on
from tests.cluster.apiserver import ApiServer
from tests.golden.cases import load
from tests.judges import modules

_KIND = owned_kind("keda.sh", "ScaledObject")
_KEDA = {"engine": "Keda", "keda": {"prometheusAddress": "http://prometheus.monitoring.svc:9090"}}


@pytest.fixture(scope="module")
def equipped() -> Iterator[ApiServer]:
    """An API server that has KEDA's definitions."""
    with ApiServer(f"api-autoscaling-{os.getpid()}") as server:
        kube = Kube(server.kubeconfig)
        install_crd(kube)
        for body in modules.definitions(modules.KEDA):
            kube.apply(f"{DEFINITIONS}/{body['metadata']['name']}", body)
        eventually(lambda: kube.get("/apis/keda.sh/v1alpha1/scaledobjects"))
        yield server


@pytest.fixture
def world(equipped: ApiServer) -> Iterator[World]:
    """A namespace in which the operator creates its objects of every service."""
    with world_on(equipped) as found:
        yield found


@pytest.mark.parametrize(
    "case", ["autoscaling-keda", "autoscaling-in-flight", "background-scaling"]
)
def test_every_object_is_valid_to_the_last_field(world: World, case: str) -> None:
    for desired in load(case).objects:
        body: dict[str, Any] = copy.deepcopy(dict(desired.body))
        body["metadata"]["namespace"] = world.namespace
        kind = owned_kind(desired.key.group, desired.key.kind)
        path = kind.path(world.namespace, desired.key.name)
        world.kube.apply(path, body, force="true", dryRun="All")


def test_an_autoscaler_is_deleted_before_the_other_is_created(world: World) -> None:
    world.start(build=desired_state.build_desired_state)
    world.apply()
    world.until_ready()
    assert world.get("horizontalpodautoscalers", "shop")
    path = _KIND.path(world.namespace, "shop")

    world.apply(scaling=_KEDA)
    eventually(lambda: world.kube.get(path))
    assert world.get("horizontalpodautoscalers", "shop") is None
    eventually(lambda: world.condition("AutoscalingReady").get("reason") == "NotReady")
    assert world.is_ready(), "without KEDA the smallest number of pods serves"

    # As KEDA does: its ScaledObject stays until it has removed its own autoscaler.
    world.kube.patch(path, {"metadata": {"finalizers": ["finalizer.keda.sh"]}})
    condition = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady"}
    world.kube.patch(f"{path}/status", {"status": {"conditions": [condition]}})
    eventually(lambda: world.condition("AutoscalingReady").get("status") == "True")

    world.apply()
    eventually(lambda: "waits until ScaledObject" in _message(world))
    assert world.get("horizontalpodautoscalers", "shop") is None
    world.kube.patch(path, {"metadata": {"finalizers": None}})
    eventually(lambda: world.get("horizontalpodautoscalers", "shop"))


def _message(world: World) -> str:
    return str(world.condition("AutoscalingReady").get("message"))
