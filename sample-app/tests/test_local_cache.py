"""The cache in the process, and the changes that it receives from other replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi_operator_runtime import testing

from shop import cache, local_cache, main, settings

LAMP = {"name": "Lamp", "price_cents": 1990}
ADA = {"email": "ada@example.com", "password": "correct horse"}


@pytest.fixture
def own_redis() -> Iterator[testing.RedisServer]:
    with testing.RedisServer() as server:
        yield server


@pytest.fixture
async def replicas(
    own_redis: testing.RedisServer, database: str, connect: Any
) -> AsyncIterator[tuple[httpx2.AsyncClient, httpx2.AsyncClient]]:
    config = settings.Settings.load(
        {
            "DATABASE_URL": database,
            "REDIS_URL": own_redis.url,
            "REDIS_TIMEOUT_SECONDS": "2",
            "LOCAL_CACHE_SECONDS": "30",
        }
    )
    async with connect(main.create_app(config)) as one, connect(main.create_app(config)) as two:
        await until(lambda: local(one).listening and local(two).listening)
        await one.post("/users", json={**ADA, "name": "Ada"})
        token = (await one.post("/tokens", json=ADA)).json()["access_token"]
        for client in (one, two):
            client.headers["Authorization"] = f"Bearer {token}"
        await one.post("/items", json=LAMP)
        yield one, two


def local(client: Any) -> local_cache.LocalCache:
    found = client.state["cache"]._local
    assert isinstance(found, local_cache.LocalCache)
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (other tasks set no event)
            await asyncio.sleep(0.01)


async def read(client: httpx2.AsyncClient) -> int:
    response = await client.get("/items/1")
    assert response.status_code == 200
    return len(response.json()["reviews"])


async def test_a_change_in_one_replica_reaches_the_other(
    replicas: tuple[httpx2.AsyncClient, httpx2.AsyncClient],
) -> None:
    one, two = replicas
    for client in (one, two, one, two):
        assert await read(client) == 0
    assert local(two).get("shop:item:v1:1") is not None
    await one.post("/items/1/reviews", json={"rating": 5})
    assert await read(one) == 1, "at once where it was made"
    await until(lambda: local(two).get("shop:item:v1:1") is None)
    assert await read(two) == 1


async def test_a_local_entry_is_read_without_redis(
    replicas: tuple[httpx2.AsyncClient, httpx2.AsyncClient], own_redis: testing.RedisServer
) -> None:
    one, _ = replicas
    await read(one)
    with own_redis.paused():
        started_at = asyncio.get_running_loop().time()
        assert (await one.get("/items/1")).headers["x-cache"] == "hit"
        assert asyncio.get_running_loop().time() - started_at < 1


async def test_a_replica_without_a_subscription_stores_nothing(
    replicas: tuple[httpx2.AsyncClient, httpx2.AsyncClient], own_redis: testing.RedisServer
) -> None:
    one, _ = replicas
    await read(one)
    own_redis.kill()
    await until(lambda: not local(one).listening)
    assert local(one).get("shop:item:v1:1") is None
    assert await read(one) == 0
    assert local(one).get("shop:item:v1:1") is None
    own_redis.start()
    await until(lambda: local(one).listening)


async def test_a_value_that_changes_during_its_load_is_not_stored() -> None:
    kept = local_cache.LocalCache(30)
    kept.listening = True
    store = cache.Cache(None, ttl_seconds=60, local=kept)

    async def load() -> bytes:
        await asyncio.sleep(0.05)
        return b"before the change"

    loading = asyncio.create_task(store.get_or_load("key", load))
    await asyncio.sleep(0.01)
    await store.invalidate("key")
    await loading
    assert kept.get("key") is None


def test_lifetime_and_number_of_entries_are_limited() -> None:
    now = 0.0
    kept = local_cache.LocalCache(10, entries=2, clock=lambda: now)
    kept.set("a", b"1")
    assert kept.get("a") is None, "nothing is heard yet"
    kept.listening = True
    for key in ("a", "b", "a", "c"):
        kept.set(key, b"1")
    assert [kept.get(key) for key in ("a", "b", "c")] == [b"1", None, b"1"]
    now = 10.1
    assert kept.get("a") is None
