"""The pod that ``profile --py-spy`` samples, on a cluster with and without a metrics API."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.api.definitions import DEFINITIONS, definition
from tests.api.test_commands import MAIN
from tests.api.world import World, eventually

# What metrics-server serves, stored by the API server itself.
_POD_METRICS = definition(
    "metrics.k8s.io",
    "v1beta1",
    "PodMetrics",
    "pods",
    annotations={"api-approved.kubernetes.io": "unapproved, for a test"},
)


def labels(part: str) -> dict[str, str]:
    return {
        "fastapi-operator.io/service": "shop",
        "app.kubernetes.io/component": part,
    }


def start_pod(world: World, name: str, part: str = "app") -> None:
    body = {
        "metadata": {"name": name, "labels": labels(part)},
        "spec": {"containers": [{"name": "app", "image": "registry.test/shop:1"}]},
    }
    world.kube.request("POST", world.path("pods"), body)
    world.kube.patch(f"{world.path('pods', name)}/status", {"status": {"phase": "Running"}})


def measure(world: World, name: str, part: str = "app", **cpu: str) -> None:
    body = {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"name": name, "labels": labels(part)},
        "containers": [{"name": it, "usage": {"cpu": used}} for it, used in cpu.items()],
    }
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{world.namespace}/pods"
    world.kube.request("POST", path, body)


def profile(world: World) -> str:
    """What the command prints until it samples."""
    command = [sys.executable, "-c", MAIN, "profile", "shop", "--py-spy", "-n", world.namespace]
    environment = {**os.environ, "KUBECONFIG": str(world.kubeconfig)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        printed = ""
        for line in process.stderr:
            printed += line
            if "sampling pod" in line:
                break
        # Without a node, no container starts.
        process.kill()
    return printed


@pytest.fixture
def metrics(world: World) -> Iterator[None]:
    yield
    world.kube.delete(f"{DEFINITIONS}/pods.metrics.k8s.io")


def test_py_spy_samples_the_pod_with_the_most_cpu_and_prints_the_reason(
    world: World, metrics: None
) -> None:
    world.apply()
    start_pod(world, "shop-a")
    assert "sampling pod shop-a for 20 s: the only running app pod" in profile(world)
    start_pod(world, "shop-b")
    start_pod(world, "shop-c")
    start_pod(world, "shop-proxy", "proxy")
    printed = profile(world)
    assert "the load of the 3 app pods is not known: the metrics API" in printed
    assert "sampling pod shop-a for 20 s: the first app pod by name" in printed

    world.kube.apply(f"{DEFINITIONS}/pods.metrics.k8s.io", _POD_METRICS)
    eventually(
        lambda: world.kube.get(f"/apis/metrics.k8s.io/v1beta1/namespaces/{world.namespace}/pods")
    )
    measure(world, "shop-a", app="12345678n", sidecar="3")
    measure(world, "shop-b", app="740m")
    measure(world, "shop-proxy", "proxy", app="2")
    # A pod that has just started has no measurement yet.
    assert "sampling pod shop-b for 20 s: 740m CPU, the most of 3 app pods" in profile(world)
