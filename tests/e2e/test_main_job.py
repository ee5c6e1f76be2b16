"""The main job: one FastAPIService, and the app responds with data from PostgreSQL and Redis."""

import json
import time

import pytest

from tests.demo import story
from tests.e2e.conftest import NAMESPACE, Shop
from tests.kubectl import eventually

pytestmark = pytest.mark.node


def test_an_item_read_twice_comes_from_redis_the_second_time(shop: Shop) -> None:
    user = {"name": "Ada", "email": f"ada-{time.time_ns()}@example.com", "password": "engine-1843"}
    created = shop.request("POST", "/users", user)
    item = shop.request("POST", "/items", {"name": "Engine", "price_cents": 100})
    assert (created.status, item.status) == (201, 201), (created, item)
    first, second = (shop.request("GET", f"/items/{item.body['id']}") for _ in range(2))

    assert [first.headers["X-Cache"], second.headers["X-Cache"]] == ["miss", "hit"]
    assert first.body == second.body
    rows = shop.database(f"select email from users where id = {created.body['id']}")
    assert user["email"] in rows


def test_the_app_connects_through_the_pooler_only(shop: Shop) -> None:
    shop.request("GET", "/items")
    pods = shop.kubectl.json("get", "pods", "-n", shop.namespace)["items"]
    addresses = {
        pod["status"]["podIP"]: pod["metadata"]["labels"].get("app.kubernetes.io/component")
        for pod in pods
        if pod["status"].get("podIP")
    }
    clients = shop.database(
        "copy (select host(client_addr) from pg_stat_activity where usename = 'app') to stdout"
    ).split()
    seen = {
        client["addr"] for client in story.clients_of_poolers(shop.kubectl, namespace=NAMESPACE)
    }

    assert clients
    assert {addresses[address] for address in clients} == {"pooler"}
    assert {addresses[address] for address in seen} == {"app"}


def test_status_gives_workers_and_pool_sizes_with_reasons(shop: Shop) -> None:
    tuning = {item["name"]: item for item in shop.get()["status"]["tuning"]}

    assert tuning["server.workers"]["value"] == 1
    assert "one event loop uses at most one core" in tuning["server.workers"]["reason"]
    for name in ("pool.size", "pooler.max_db_connections", "database.max_connections"):
        assert tuning[name]["value"] >= 1
        assert tuning[name]["reason"]


def test_the_planned_connections_are_the_databases_own(shop: Shop) -> None:
    tuning = {item["name"]: item for item in shop.get()["status"]["tuning"]}
    answer = shop.database("show max_connections")

    assert str(tuning["database.max_connections"]["value"]) in answer.split()


def test_status_is_small_and_every_part_is_ready(shop: Shop) -> None:
    def conditions() -> dict[str, dict[str, str]]:
        return {item["type"]: item for item in shop.get()["status"]["conditions"]}

    # The autoscaler is ready some seconds later than the rest: it waits for the first metrics.
    eventually(
        lambda: conditions()["AutoscalingReady"]["status"] == "True",
        seconds=120,
        what="the autoscaler is ready",
    )
    last = conditions()
    reconciling = last.pop("Reconciling")
    found = {name: item["status"] for name, item in last.items()}

    assert len(json.dumps(shop.get()["status"])) < 8 * 1024
    # Pods may still have to read a configuration that the tests of exposure changed.
    assert reconciling["status"] == "False" or reconciling["reason"] == "Reloading"
    assert found.pop("Stalled") == "False"
    assert set(found.values()) == {"True"}
    assert {
        "ApplicationReady",
        "CacheReady",
        "DatabaseReady",
        "MigrationsReady",
        "PoolerReady",
        "ProxyReady",
        "Ready",
    } <= set(found)


def test_the_autoscaler_reads_cpu(shop: Shop) -> None:
    def active() -> bool:
        autoscaler = shop.kubectl.json("get", "hpa", shop.name, "-n", shop.namespace)
        found = autoscaler["status"].get("conditions", ())
        conditions = {item["type"]: item["status"] for item in found}
        return conditions.get("ScalingActive") == "True"

    eventually(active, seconds=120, what="the autoscaler has metrics", pause=3)


def test_a_larger_body_limit_reaches_the_proxy_without_a_new_pod(shop: Shop) -> None:
    def proxies() -> set[str]:
        selector = f"fastapi-operator.io/service={shop.name},app.kubernetes.io/component=proxy"
        pods = shop.kubectl.json("get", "pods", "-n", shop.namespace, "-l", selector)["items"]
        return {pod["metadata"]["uid"] for pod in pods}

    before = proxies()
    big = {"name": "x" * 40, "description": "y" * 3000, "price_cents": 1}
    shop.patch({"proxy": {"maxBodySize": "1Ki"}})
    # The kubelet refreshes mounted ConfigMaps about once a minute.
    eventually(
        lambda: shop.request("POST", "/items", big).status == 413,
        seconds=150,
        what="a body over the new limit is refused",
        pause=2,
    )
    shop.patch({"proxy": None})

    assert proxies() == before
    eventually(
        lambda: shop.request("POST", "/items", big).status != 413,
        seconds=150,
        what="the derived limit is back",
        pause=2,
    )
