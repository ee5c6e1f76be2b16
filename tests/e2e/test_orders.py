"""A service for an unmodified app, written only from docs/reference/api.md.

External PostgreSQL over TLS, Valkey as cache, a queue with a Celery worker and beat, two hosts and
a certificate.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import node
from tests.demo.targets import Cluster
from tests.e2e import external_database
from tests.e2e.conftest import NODE, Shop
from tests.kubectl import eventually

pytestmark = pytest.mark.node

NAMESPACE = "orders"
HOSTS = ["orders.example.com", "www.orders.example.com"]
# Written by a person who had read only the reference.
SERVICE = Path(__file__).parent / "orders/service.yaml"


@pytest.fixture(scope="module")
def orders(cluster: Cluster) -> Iterator[Shop]:
    """The service, Ready."""
    started = node.Node(NODE)
    started.build_images(["orders"])
    running = Shop(cluster.kubectl, started.image("orders"), namespace=NAMESPACE, name="orders")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    )
    try:
        external_database.start(
            cluster.kubectl, namespace=NAMESPACE, image=started.image("postgres")
        )
        service = SERVICE.read_text().replace("APP_IMAGE", running.app_image)
        cluster.kubectl("apply", "-f", "-", stdin=service)
        running.wait_until_ready()
        yield running
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def test_work_goes_from_the_app_through_the_queue_to_the_worker(orders: Shop) -> None:
    created = orders.request("POST", "/orders", {"item": "lamp"})
    assert created.status == 201, created.body
    order = f"/orders/{created.body['id']}"
    eventually(
        lambda: orders.request("GET", order).body.get("price") == 4,
        seconds=30,
        what="the worker priced the order",
    )


def test_beat_ticks_from_one_pod(orders: Shop) -> None:
    before = orders.request("GET", "/ticks").body["count"]
    eventually(
        lambda: orders.request("GET", "/ticks").body["count"] > before + 1,
        seconds=30,
        what="two more ticks",
    )
    # A StatefulSet, which waits until a pod is gone before it starts another.
    beat = orders.kubectl.json("get", "statefulset", "orders-background-beat", "-n", NAMESPACE)
    assert beat["spec"]["replicas"] == 1


def test_the_cache_is_valkey(orders: Shop) -> None:
    assert orders.request("GET", "/cache").body == {"greeting": "hello", "server": "valkey"}


def test_only_the_pooler_connects_to_the_external_database_over_tls(orders: Shop) -> None:
    orders.request("GET", "/ticks")
    pods = orders.kubectl.json(
        *("get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=pooler")
    )
    poolers = {pod["status"]["podIP"] for pod in pods["items"]}
    seen = external_database.query(
        orders.kubectl,
        NAMESPACE,
        "SELECT DISTINCT host(client_addr), ssl FROM pg_stat_activity "
        "JOIN pg_stat_ssl USING (pid) WHERE client_addr IS NOT NULL",
    )
    clients = dict(line.split("|") for line in seen.splitlines())
    assert clients and set(clients) <= poolers
    assert set(clients.values()) == {"t"}


def test_no_object_of_the_service_shows_the_databases_password(orders: Shop) -> None:
    secret = orders.kubectl.json("get", "secret", external_database.NAME, "-n", NAMESPACE)
    password = base64.b64decode(secret["data"]["password"]).decode()
    shown = json.dumps([item for item in orders.children() if item["kind"] != "Secret"])
    assert password not in shown
    assert password not in json.dumps(orders.get())


def test_both_hosts_lead_to_the_service_and_its_url_is_true(orders: Shop) -> None:
    ingress = orders.kubectl.json("get", "ingress", "orders", "-n", NAMESPACE)
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == HOSTS
    assert ingress["spec"]["tls"] == [{"hosts": HOSTS, "secretName": "orders-tls"}]
    assert orders.get()["status"]["url"] == "https://orders.example.com"
