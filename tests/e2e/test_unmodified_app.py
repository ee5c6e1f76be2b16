"""An image that was not made for the operator: it runs, scales, and is seen through its proxy."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster import node
from tests.demo.targets import Cluster
from tests.e2e.conftest import NODE, Shop
from tests.kubectl import eventually

pytestmark = pytest.mark.node


@pytest.fixture
def hello(cluster: Cluster) -> Iterator[Shop]:
    """A hello-world service with nothing but an image."""
    started = node.Node(NODE)
    started.build_images(["hello"])
    running = Shop(cluster.kubectl, started.image("hello"), namespace="hello", name="hello")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello", "labels": labels}},
        {
            "apiVersion": "fastapi-operator.io/v1alpha1",
            "kind": "FastAPIService",
            "metadata": {"name": "hello", "namespace": "hello"},
            "spec": {
                "image": running.app_image,
                "resources": {"requests": {"cpu": "50m"}},
                "scaling": {"replicas": 1},
                "proxy": {"replicas": 1},
            },
        },
    )
    try:
        running.wait_until_ready()
        yield running
    finally:
        cluster.kubectl("delete", "namespace", "hello", "--wait=false")


def test_an_unmodified_hello_world_runs_scales_and_is_observed(hello: Shop) -> None:
    answer = hello.request("GET", "/")
    assert (answer.status, answer.body) == (200, {"message": "Hello World"})

    hello.kubectl("scale", "fas", hello.name, "-n", hello.namespace, "--replicas", "2")
    eventually(
        lambda: hello.get()["status"].get("replicas") == 2 and hello.is_ready(),
        seconds=60,
        what="two pods",
    )

    for _ in range(20):
        assert hello.request("GET", "/").status == 200
    # The proxy's access log has a line for each request, with its duration.
    selector = "app.kubernetes.io/component=proxy"
    logged = hello.kubectl(
        *("logs", "-n", hello.namespace, "-l", selector, "-c", "nginx", "--tail=-1"),
    )
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    seen = [line for line in lines if line.get("uri") == "/" or line.get("path") == "/"]
    assert len(seen) >= 21
