"""Redis clients with the operator's connection limit and with timeouts that suit a cache."""

from __future__ import annotations

import time
from typing import Any

from redis import asyncio as redis_asyncio
from redis.asyncio import retry
from redis.backoff import NoBackoff

from fastapi_operator_runtime import metrics, settings

SYSTEM = "redis"

POOL_WAIT_SECONDS = 0.1
"""Longest wait for a free connection: longer than that, reading the database is the faster way."""

RETRIES_ON_BROKEN_CONNECTION = 0
"""A failed read is a cache miss. The library's default of three retries multiplies the wait."""


def create_redis(
    config: settings.RuntimeSettings, *, observe: bool = True, **overrides: Any
) -> redis_asyncio.Redis:
    """Creates a client for REDIS_URL with the limits of the contract.

    Args:
        config: The environment contract.
        observe: Whether to export the duration of commands.
        **overrides: Arguments of `redis.asyncio.BlockingConnectionPool` that take precedence.

    Raises:
        settings.SettingsError: REDIS_URL is absent.
    """
    if config.redis_url is None:
        raise settings.SettingsError("REDIS_URL is not set; set it to a redis:// URL")
    options = {**redis_options(config), **overrides}
    pool = redis_asyncio.BlockingConnectionPool.from_url(
        config.redis_url.get_secret_value(), **options
    )
    client = ObservedRedis if observe else redis_asyncio.Redis
    return client.from_pool(pool)


class ObservedRedis(redis_asyncio.Redis):
    """The usual client, which also measures its commands, except those of a pipeline."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Sends a command, and measures its duration or its error."""
        started_at, failed = time.perf_counter(), ""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except Exception as error:
            failed = type(error).__name__
            raise
        finally:
            seconds = time.perf_counter() - started_at
            metrics.instruments().cache_seconds.observe(seconds, SYSTEM, failed)


def redis_options(config: settings.RuntimeSettings) -> dict[str, Any]:
    """Returns the arguments for a `BlockingConnectionPool` that the application creates."""
    timeout = config.redis_timeout_seconds
    return {
        "max_connections": config.redis_max_connections,
        "timeout": min(POOL_WAIT_SECONDS, timeout),
        "socket_connect_timeout": timeout,
        "socket_timeout": timeout,
        "socket_keepalive": True,
        "client_name": client_name(config),
        "retry": retry.Retry(NoBackoff(), RETRIES_ON_BROKEN_CONNECTION),
    }


def client_name(config: settings.RuntimeSettings) -> str:
    """Returns the name in CLIENT LIST; Redis permits no space in it."""
    return config.application_name.replace(" ", "-")
