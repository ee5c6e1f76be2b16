"""An image that was not made for the operator: it runs, scales, and is seen through its proxy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charts.conftest import SERVICE, Helm
from tests.cluster import node
from tests.demo.targets import Cluster
from tests.e2e.conftest import NODE, Shop
from tests.e2e.test_doctor import run
from tests.kubectl import eventually

pytestmark = pytest.mark.node


def helm(cluster: Cluster) -> Helm:
    """Helm, with the cluster."""
    return Helm(Path(cluster.helm), cluster.kubectl.kubeconfig)


@pytest.fixture(scope="module")
def hello(cluster: Cluster) -> Iterator[Shop]:
    """A hello-world with only an image, installed by the service's chart."""
    started = node.Node(NODE)
    started.build_images(["hello", "py-spy"])
    running = Shop(cluster.kubectl, started.image("hello"), namespace="hello", name="hello")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello", "labels": labels}}
    )
    values = {
        "image": running.app_image,
        "resources": {"requests": {"cpu": "50m"}},
        "scaling": {"replicas": 1},
        "proxy": {"replicas": 1},
    }
    helm(cluster).run("install", "hello", SERVICE, "--namespace", "hello", values=values)
    try:
        running.wait_until_ready()
        yield running
    finally:
        cluster.kubectl("delete", "namespace", "hello", "--wait=false")


def test_an_unmodified_hello_world_runs_scales_and_is_observed(
    cluster: Cluster, hello: Shop
) -> None:
    answer = hello.request("GET", "/")
    assert (answer.status, answer.body) == (200, {"message": "Hello World"})
    # The chart's own test calls it from a pod, by the name that other services use.
    helm(cluster).run("test", "hello", "--namespace", "hello", "--timeout", "2m")

    hello.kubectl("scale", "fas", hello.name, "-n", hello.namespace, "--replicas", "2")
    eventually(
        lambda: hello.get()["status"].get("replicas") == 2 and hello.is_ready(),
        seconds=60,
        what="two pods",
    )

    for _ in range(20):
        assert hello.request("GET", "/").status == 200
    # The proxy's access log has a line for each request, at most a second after it.
    eventually(lambda: logged_requests(hello) >= 21, seconds=5, what="a line for each request")


def logged_requests(hello: Shop) -> int:
    """Returns how many requests of the start page nginx has logged."""
    selector = "app.kubernetes.io/component=proxy"
    logged = hello.kubectl(
        *("logs", "-n", hello.namespace, "-l", selector, "-c", "nginx", "--tail=-1"),
    )
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    return sum("/" in {line.get("uri"), line.get("path")} for line in lines)


def test_an_unmodified_app_is_profiled_from_outside(hello: Shop, tmp_path: Path) -> None:
    graph = tmp_path / "flame.svg"
    profile = ("profile", hello.name, "--seconds", "2", "-o", str(graph))
    refusal = run(hello, *profile).stderr
    assert "no process listens, so the app does not call the runtime's install(app)" in refusal
    assert f"fastapi-operator profile hello -n {hello.namespace} --py-spy" in refusal
    absent = run(hello, *profile, "--py-spy", "--image", "registry.test/absent:1")
    assert "set --image to an image with py-spy" in absent.stderr, absent.stderr
    refused = run(hello, *profile, "--py-spy", "--privileged")
    assert 'violates PodSecurity "restricted' in refused.stderr, refused.stderr
    # An event loop at rest counts as idle.
    image = node.Node(NODE).image("py-spy")
    done = run(hello, *profile, "--py-spy", "--image", image, "--idle")
    assert done.returncode == 0, done.stderr
    assert "uvicorn/main.py:run" in graph.read_text(), done.stdout
