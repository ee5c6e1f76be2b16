"""Each engine beside the first ones serves on a real node."""

import dataclasses
import http.client
import time
from collections.abc import Iterator

import pytest
import websocket

from tests.cluster import node
from tests.demo.story import install_operator
from tests.demo.targets import Cluster, image_values
from tests.e2e.conftest import NODE, Shop
from tests.kubectl import eventually
from tests.parts.conftest import service, small

pytestmark = pytest.mark.node

NAMESPACE = "engines"
STATIC = [{"path": "/static", "directory": "/app/static"}]
SPECS = {
    "gunicorn": small(
        server={"engine": "Gunicorn", "workerPolicy": "Fixed", "workers": 2},
        proxy={
            "replicas": 1,
            "static": STATIC,
            "streamingPaths": ["/events", "/ws"],
            "cache": {"routes": [{"path": "/worker", "seconds": 5}]},
            "rateLimit": {"requestsPerSecond": 1, "burst": 1, "paths": ["/limited"]},
        },
    ),
    "granian": small(server={"engine": "Granian"}),
    "caddy": small(proxy={"engine": "Caddy", "replicas": 1, "static": STATIC}),
    "valkey": small(
        redis={"engine": "Valkey", "memory": "64Mi"},
        queue={"engine": "Valkey", "memory": "64Mi"},
    ),
}


@pytest.fixture(scope="module")
def engines(cluster: Cluster) -> Iterator[dict[str, Shop]]:
    """A service of each engine, begun at once; each test waits for its own."""
    started = node.Node(NODE)
    started.build_images(["engines", "caddy"])
    caddy = image_values("settings.images.caddy", started.image("caddy"))
    install_operator(dataclasses.replace(cluster, values=(*cluster.values, *caddy)))
    image = started.image("engines")
    found = {name: Shop(cluster.kubectl, image, NAMESPACE, name) for name in SPECS}
    try:
        for name, shop in found.items():
            service(shop, SPECS[name])
        yield found
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def address(shop: Shop) -> str:
    """The URL of the proxy."""
    found = shop.kubectl.json("get", "service", shop.name, "-n", shop.namespace)
    return str(found["spec"]["clusterIP"])


def get(shop: Shop, path: str, header: str = "Server", **sent: str) -> tuple[int, str, str]:
    """Returns status, text and a header of a response through the proxy."""
    connection = http.client.HTTPConnection(address(shop), 80, timeout=10)
    connection.request("GET", path, headers=sent)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.getheader(header, "")


def test_each_gunicorn_worker_serves(engines: dict[str, Shop]) -> None:
    shop = engines["gunicorn"]
    shop.wait_until_ready()

    def workers() -> bool:
        # A response to a known client is never cached by the proxy.
        answers = {get(shop, "/worker", Cookie="who=me") for _ in range(20)}
        assert {status for status, _, _ in answers} == {200}
        return len({text for _, text, _ in answers}) == 2

    eventually(workers, seconds=30, what="two workers respond")


def test_granian_serves(engines: dict[str, Shop]) -> None:
    engines["granian"].wait_until_ready()
    assert get(engines["granian"], "/worker")[0] == 200


@pytest.mark.parametrize(("name", "server"), [("caddy", "Caddy"), ("gunicorn", "nginx")])
def test_the_proxy_serves_the_files_of_the_image(
    engines: dict[str, Shop], name: str, server: str
) -> None:
    engines[name].wait_until_ready()
    status, text, via = get(engines[name], "/static/site.css")
    assert (status, text.strip()) == (200, "body { color: teal }")
    assert via in (server, ""), via
    assert get(engines[name], "/worker")[0] == 200
    assert get(engines[name], "/static/main.py")[0] == 404


def test_the_proxy_caches_responses_and_limits_the_rate(
    engines: dict[str, Shop],
) -> None:
    shop = engines["gunicorn"]
    shop.wait_until_ready()
    get(shop, "/worker")
    assert get(shop, "/worker", "X-Cache")[::2] == (200, "HIT")
    assert get(shop, "/worker", "X-Cache", Cookie="who=me")[::2] == (200, "BYPASS")
    answers = [get(shop, "/limited", "Retry-After")[::2] for _ in range(4)]
    assert answers[0] == (200, "") and (429, "1") in answers, answers


def test_the_proxy_forwards_streams_and_web_sockets_unbuffered(engines: dict[str, Shop]) -> None:
    shop = engines["gunicorn"]
    shop.wait_until_ready()
    connection = http.client.HTTPConnection(address(shop), 80, timeout=10)
    begun = time.monotonic()
    connection.request("GET", "/events")
    answer = connection.getresponse()
    assert answer.readline() == b"first\n"
    assert time.monotonic() - begun < 2, "the proxy held the first piece back"
    assert answer.readline() == b"second\n"
    client = websocket.create_connection(f"ws://{address(shop)}/ws", timeout=10)
    client.send("hello")
    assert client.recv() == "received hello"


@pytest.mark.parametrize("store", ["redis", "queue"])
def test_valkey_serves_the_app_and_keeps_queued_messages(
    engines: dict[str, Shop], store: str
) -> None:
    shop = engines["valkey"]
    shop.wait_until_ready()
    kind = {"redis": "deployment", "queue": "statefulset"}[store]

    def ask(*command: str) -> str:
        client = (
            "REDISCLI_AUTH=$(cat /etc/valkey/password) "
            f"valkey-cli --user $(cat /etc/valkey/username) {' '.join(command)}"
        )
        where = ("exec", "-n", NAMESPACE, f"{kind}/valkey-{store}", "-c", "redis", "--")
        return shop.kubectl(*where, "sh", "-c", client).strip()

    assert ask("set", "key", "value") == "OK"
    if store == "queue":
        shop.kubectl("delete", "pod", "valkey-queue-0", "-n", NAMESPACE, "--wait")
        eventually(lambda: ask("get", "key") == "value", seconds=90, what="the log is replayed")
    assert ask("get", "key") == "value"
