"""The item cache over HTTP, with a real Redis that is also killed and frozen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import redis.asyncio
from fastapi_operator_runtime import testing

from shop import breaker, cache, main, settings

LAMP = {"name": "Lamp", "description": "It glows.", "price_cents": 1990}


@pytest.fixture
def own_redis() -> Iterator[testing.RedisServer]:
    with testing.RedisServer() as server:
        yield server


@pytest.fixture
async def fragile(
    own_redis: testing.RedisServer, database: str, connect: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with a Redis server of this test."""
    config = settings.Settings.load(
        {
            "DATABASE_URL": database,
            "REDIS_URL": own_redis.url,
            "REDIS_TIMEOUT_SECONDS": "0.5",
        }
    )
    async with connect(main.create_app(config)) as client:
        yield client


async def read(client: httpx2.AsyncClient, item_id: int = 1) -> str:
    response = await client.get(f"/items/{item_id}")
    assert response.status_code == 200
    outcome: str = response.headers["x-cache"]
    return outcome


async def test_the_second_read_comes_from_redis(
    client: httpx2.AsyncClient, item: dict[str, Any], statements: list[str]
) -> None:
    first = await client.get("/items/1")
    assert first.headers["x-cache"] == "miss"
    assert len(statements) == 2
    second = await client.get("/items/1")
    assert second.headers["x-cache"] == "hit"
    assert len(statements) == 2, "a hit asks the database nothing"
    assert second.content == first.content
    assert second.headers["etag"] == first.headers["etag"]


async def test_a_new_review_invalidates_the_cached_item(
    client: httpx2.AsyncClient, item: dict[str, Any], user: dict[str, Any]
) -> None:
    assert [await read(client), await read(client)] == ["miss", "hit"]
    await client.post("/items/1/reviews", json={"rating": 4})
    response = await client.get("/items/1")
    assert response.headers["x-cache"] == "miss"
    assert len(response.json()["reviews"]) == 1


async def test_a_missing_item_is_not_cached(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/items/1")).status_code == 404
    await client.post("/items", json=LAMP)
    assert (await client.get("/items/1")).status_code == 200


async def test_lifetimes_vary(client: httpx2.AsyncClient, environment: dict[str, str]) -> None:
    lifetimes = []
    async with redis.asyncio.Redis.from_url(environment["REDIS_URL"]) as store:
        for number in range(1, 21):
            await client.post("/items", json=LAMP)
            await read(client, number)
            lifetimes.append(await store.pttl(f"shop:item:v1:{number}"))
    assert all(50_000 < lifetime <= 66_000 for lifetime in lifetimes), lifetimes
    assert max(lifetimes) > 60_500, "a tenth is added to some"
    assert min(lifetimes) < 59_500, "and taken from others"


async def test_no_request_fails_when_redis_is_killed(
    fragile: httpx2.AsyncClient, own_redis: testing.RedisServer
) -> None:
    await fragile.post("/items", json=LAMP)
    assert [await read(fragile), await read(fragile)] == ["miss", "hit"]
    own_redis.kill()
    for _ in range(10):
        assert await read(fragile) == "miss"
    ada = {"email": "ada@example.com", "password": "correct horse"}
    await fragile.post("/users", json={**ada, "name": "Ada"})
    token = (await fragile.post("/tokens", json=ada)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    review = await fragile.post("/items/1/reviews", json={"rating": 5}, headers=headers)
    assert review.status_code == 201


async def test_redis_is_used_again_after_it_recovers(
    own_redis: testing.RedisServer, database: str, connect: Any
) -> None:
    config = settings.Settings.load({"DATABASE_URL": database, "REDIS_URL": own_redis.url})
    async with connect(main.create_app(config)) as client:
        client.state["cache"]._breaker = breaker.Breaker(open_seconds=0.2)
        await client.post("/items", json=LAMP)
        own_redis.kill()
        for _ in range(10):
            await read(client)
        own_redis.start()
        await asyncio.sleep(0.3)
        assert [await read(client), await read(client)] == ["miss", "hit"]


async def test_a_frozen_redis_delays_only_the_first_requests(
    fragile: httpx2.AsyncClient, own_redis: testing.RedisServer
) -> None:
    await fragile.post("/items", json=LAMP)
    await read(fragile)
    with own_redis.paused():
        waits = []
        for _ in range(12):
            started_at = time.monotonic()
            await read(fragile)
            waits.append(time.monotonic() - started_at)
    assert max(waits) < 2.5, "one read and one write that time out"
    assert max(waits[-5:]) < 0.4, "the breaker is open"


async def test_a_slow_redis_costs_at_most_the_timeout_and_fails_no_request(
    own_redis: testing.RedisServer, database: str, connect: Any
) -> None:
    with testing.SlowLink(own_redis.port) as link:
        late = own_redis.url.replace(str(own_redis.port), str(link.port))
        environment = {"DATABASE_URL": database, "REDIS_URL": late, "REDIS_TIMEOUT_SECONDS": "0.5"}
        async with connect(main.create_app(settings.Settings.load(environment))) as client:
            for _ in range(2):
                await client.post("/items", json=LAMP)
            assert [await read(client, 1), await read(client, 1)] == ["miss", "hit"]
            link.delay_seconds = 2.0
            waits = []
            for _ in range(12):
                started_at = time.monotonic()
                assert await read(client, 1) == "miss"
                waits.append(time.monotonic() - started_at)
            assert 0.4 < max(waits) < 1.9, "the time-out, not the delay"
            assert max(waits[-5:]) < 0.4, "the breaker is open"
            # A late response must not be used for the next request.
            link.delay_seconds = 0.0
            client.state["cache"]._breaker.succeeded()
            assert [await read(client, 2), await read(client, 2)] == ["miss", "hit"]
            assert (await client.get("/items/2")).json()["id"] == 2


async def test_without_redis_every_read_is_a_miss(database: str, connect: Any) -> None:
    app = main.create_app(settings.Settings.load({"DATABASE_URL": database}))
    async with connect(app) as client:
        await client.post("/items", json=LAMP)
        assert [await read(client), await read(client)] == ["miss", "miss"]


async def test_concurrent_reads_of_a_missing_key_load_it_once() -> None:
    store = cache.Cache(None, ttl_seconds=60)
    loads = 0

    async def load() -> bytes:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.05)
        return b"value"

    results = await asyncio.gather(*(store.get_or_load("key", load) for _ in range(50)))
    assert set(results) == {(b"value", "miss")}
    assert loads == 1
    await store.get_or_load("key", load)
    assert loads == 2, "the next load is not answered by the last"


async def test_a_disconnected_client_does_not_cancel_the_load_for_others() -> None:
    store = cache.Cache(None, ttl_seconds=60)

    async def load() -> bytes:
        await asyncio.sleep(0.05)
        return b"value"

    first = asyncio.create_task(store.get_or_load("key", load))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(store.get_or_load("key", load))
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == (b"value", "miss")


async def test_a_failed_load_fails_all_waiters_and_is_retried_by_the_next_read() -> None:
    store = cache.Cache(None, ttl_seconds=60)

    async def fails() -> bytes:
        await asyncio.sleep(0.01)
        raise ConnectionError("gone")

    async def works() -> bytes:
        return b"value"

    calls = [store.get_or_load("key", fails) for _ in range(3)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
    assert await store.get_or_load("key", works) == (b"value", "miss")


async def test_the_cache_is_read_again_if_the_source_fails(
    own_redis: testing.RedisServer,
) -> None:
    async with redis.asyncio.Redis.from_url(own_redis.url) as client:
        store = cache.Cache(client, ttl_seconds=60)

        async def fails_beside_a_faster_process() -> bytes:
            await client.set("key", b"value")
            raise ConnectionError("gone")

        assert await store.get_or_load("key", fails_beside_a_faster_process) == (b"value", "hit")


def test_breaker_opens_allows_one_trial_and_closes() -> None:
    now = 0.0
    circuit = breaker.Breaker(failures=3, open_seconds=5, clock=lambda: now)
    for _ in range(2):
        circuit.failed()
    assert circuit.allows()
    circuit.failed()
    assert not circuit.allows()
    now = 5.1
    assert [circuit.allows() for _ in range(3)] == [True, False, False], "one trial"
    circuit.failed()
    assert not circuit.allows()
    now = 10.3
    assert circuit.allows()
    circuit.succeeded()
    assert [circuit.allows() for _ in range(3)] == [True] * 3
