from __future__ import annotations

import asyncio
import time

import prometheus_client
import pytest
from redis.exceptions import RedisError

from fastapi_operator_runtime import RuntimeSettings, SettingsError, batches, cache, testing


def config(server: testing.RedisServer, **environment: str) -> RuntimeSettings:
    return RuntimeSettings.load({"REDIS_URL": server.url, **environment})


async def test_the_client_signs_in_and_sets_its_name(redis_server: testing.RedisServer) -> None:
    client = cache.create_redis(
        config(redis_server, OTEL_SERVICE_NAME="shop", HOSTNAME="shop-7d9f-x2x4z")
    )
    assert await client.set("key", b"value")
    assert await client.get("key") == b"value"
    assert await client.client_getname() in ("shop/shop-7d9f-x2x4z", b"shop/shop-7d9f-x2x4z")
    await client.aclose()


async def test_a_frozen_redis_costs_the_timeout_once(redis_server: testing.RedisServer) -> None:
    client = cache.create_redis(config(redis_server, REDIS_TIMEOUT_SECONDS="0.5"))
    await client.get("key")
    with redis_server.paused():
        started_at = time.monotonic()
        with pytest.raises(RedisError):
            await client.get("key")
        waited = time.monotonic() - started_at
    assert 0.4 < waited < 1.4
    await client.aclose()


async def test_more_calls_than_connections_wait_for_one(
    redis_server: testing.RedisServer,
) -> None:
    client = cache.create_redis(
        config(redis_server, REDIS_MAX_CONNECTIONS="2", REDIS_TIMEOUT_SECONDS="5"), timeout=5
    )
    await asyncio.gather(*(client.get(f"key{number}") for number in range(100)))
    pool = client.connection_pool
    assert len(pool._available_connections) <= 2
    await client.aclose()


def test_a_client_without_a_url_names_the_variable_to_set() -> None:
    with pytest.raises(SettingsError, match="REDIS_URL is not set"):
        cache.create_redis(RuntimeSettings.load({}))


async def test_commands_and_failures_are_measured(redis_server: testing.RedisServer) -> None:
    def seen(error: str) -> float:
        labels = {"db_system_name": "redis", "error_type": error}
        name = "db_client_operation_duration_seconds_count"
        batches.flush()
        return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0

    client = cache.create_redis(config(redis_server, REDIS_TIMEOUT_SECONDS="0.2"))
    before, failed = seen(""), seen("TimeoutError")
    await client.set("key", b"value")
    await client.get("key")
    assert seen("") == before + 2
    with redis_server.paused(), pytest.raises(RedisError):
        await client.get("key")
    assert seen("TimeoutError") == failed + 1
    await client.aclose()

    unobserved = cache.create_redis(config(redis_server), observe=False)
    await unobserved.get("key")
    assert seen("") == before + 2
    await unobserved.aclose()
