"""Pods of a service, as the API server lists them, and the pages on their addresses."""

import datetime
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fastapi_operator.cluster import connection
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.metrics_reader import PODS_PER_PART, PodPage, read_pods
from fastapi_operator.parts import Part
from tests.api.world import World

PARTS = {Part.PROXY: ("fastapi_proxy_",), Part.APP: ("fastapi_worker_",), Part.CANARY: ("none",)}
NOW = datetime.datetime.now(datetime.UTC)
STARTED = (NOW - datetime.timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
# The system.s clock is a day ahead of the steady one, and a third one is behind the start of pods.
CLOCKS = [NOW.timestamp() + offset for offset in (0, 86_400, -3600)]
PAGE = b"fastapi_proxy_connections 3\nfastapi_worker_processes 2\n"


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.path == "/metrics"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """The metrics port of all pods, whose addresses are those of loopback."""
    server = http.server.ThreadingHTTPServer(("", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def start_pod(
    world: World,
    name: str,
    part: Part,
    *,
    port: int | None,
    labels: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> None:
    container: dict[str, Any] = {"name": "app", "image": "registry.test/shop:1"}
    if port is not None:
        container["ports"] = [{"name": "metrics", "containerPort": port}]
    own = {"fastapi-operator.io/service": "shop", "app.kubernetes.io/component": part.value}
    body = {
        "metadata": {"name": name, "labels": own | (labels or {})},
        "spec": {"containers": [container], **(spec or {})},
    }
    world.kube.request("POST", world.path("pods"), body)
    running = {
        "phase": "Running",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": STARTED,
        "containerStatuses": [
            {
                "name": "app",
                "restartCount": 2,
                "ready": True,
                "image": "registry.test/shop:1",
                "imageID": "",
            }
        ],
    }
    found = running | status
    found["podIP"] = next((item["ip"] for item in found["podIPs"]), "")
    world.kube.patch(f"{world.path('pods', name)}/status", {"status": found})


async def pages(world: World) -> tuple[PodPage, ...]:
    client = Client(await connection.load(kubeconfig=str(world.kubeconfig)))
    try:
        return await read_pods(client, world.namespace, "shop", PARTS, clocks=CLOCKS)
    finally:
        await client.close()


async def test_the_pages_of_running_pods_are_read_by_part(world: World, port: int) -> None:
    start_pod(world, "shop-proxy-1", Part.PROXY, port=port, podIPs=[{"ip": "127.0.0.2"}])
    start_pod(world, "shop-a", Part.APP, port=port)
    canary = {"fastapi-operator.io/canary": "3f9a01bc"}
    start_pod(
        world, "shop-canary-a", Part.CANARY, port=port, labels=canary, podIPs=[{"ip": "127.0.0.3"}]
    )
    start_pod(world, "shop-pooler-1", Part.POOLER, port=port)
    start_pod(world, "shop-b", Part.APP, port=port, phase="Pending")
    start_pod(
        world, "other-a", Part.APP, port=port, labels={"fastapi-operator.io/service": "other"}
    )
    app, new, proxy = await pages(world)
    assert (app.name, app.part, app.canary, app.restarts) == ("shop-a", Part.APP, "", 2)
    assert 88 <= app.age_seconds <= 92
    assert (app.text, app.problem) == ("fastapi_worker_processes 2\n", "")
    assert (proxy.name, proxy.text) == ("shop-proxy-1", "fastapi_proxy_connections 3\n")
    assert (new.name, new.canary, new.text) == ("shop-canary-a", "3f9a01bc", "")


async def test_a_pod_without_a_page_has_a_reason(world: World, port: int) -> None:
    start_pod(world, "shop-a", Part.APP, port=None)
    start_pod(world, "shop-b", Part.APP, port=port, spec={"hostNetwork": True}, podIPs=[])
    start_pod(world, "shop-c", Part.APP, port=port, podIPs=[])
    found = {page.name: (page.text, page.problem) for page in await pages(world)}
    assert found["shop-a"] == (None, "it has no port with metrics")
    assert found["shop-b"] == (None, "it is in the network of its node")
    assert found["shop-c"] == (None, "it has no address")


async def test_the_cost_does_not_grow_with_the_number_of_pods(world: World, port: int) -> None:
    for number in range(PODS_PER_PART + 4):
        start_pod(world, f"shop-{number:02}", Part.APP, port=port)
    found = [page.name for page in await pages(world)]
    assert found == [f"shop-{number:02}" for number in range(PODS_PER_PART)]
