"""A cache in Redis (cache-aside). If Redis is unavailable, requests get slower but never fail.

The database behind the cache is protected in three ways:

- Each process loads a key only once at a time (single flight).
- Expiry times vary by 10 %, so that keys that were set together do not expire together.
- Timeouts are short and a breaker stops calls, so that an unavailable Redis is tried once in five
  seconds instead of at every request.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Literal

from redis import asyncio as redis_asyncio
from redis.exceptions import RedisError

from shop import breaker, local_cache

logger = logging.getLogger(__name__)

Outcome = Literal["hit", "miss"]
Load = Callable[[], Awaitable[bytes | None]]

JITTER = 0.1
REDIS_ERRORS = (RedisError, OSError, TimeoutError)


class Cache:
    """Stores bytes by key.

    Args:
        redis: The client; if None, nothing is cached.
        ttl_seconds: Mean lifetime of an entry.
        circuit: The breaker in front of Redis.
        local: An additional cache in the process.
    """

    def __init__(
        self,
        redis: redis_asyncio.Redis | None,
        *,
        ttl_seconds: float,
        circuit: breaker.Breaker | None = None,
        local: local_cache.LocalCache | None = None,
    ) -> None:
        self._redis = redis
        self._ttl_seconds = ttl_seconds
        self._breaker = circuit or breaker.Breaker()
        self._local = local
        self._outdated: set[str] = set()
        self._loads: dict[str, asyncio.Task[bytes | None]] = {}

    async def get_or_load(self, key: str, load: Load) -> tuple[bytes | None, Outcome]:
        """Returns the entry of `key`; if it is missing, loads and stores it.

        Args:
            key: Name of the entry.
            load: Reads the value from its source. None means that it does not exist and
                is not stored.

        Returns:
            The value, and whether it was cached.
        """
        if self._local is not None and (kept := self._local.get(key)) is not None:
            return kept, "hit"
        cached = await self._read(key)
        if cached is not None:
            if self._local is not None:
                self._local.set(key, cached)
            return cached, "hit"
        task = self._loads.get(key)
        if task is None:
            # As a task, the load is not cancelled for the others if one client disconnects.
            task = asyncio.create_task(self._load(key, load), name=f"load {key}")
            self._loads[key] = task
            task.add_done_callback(lambda _done: self._loads.pop(key, None))
        try:
            return await asyncio.shield(task), "miss"
        except Exception:
            # The source failed. Perhaps Redis was only slow or has the key by now, so try it again.
            cached = await self._read(key)
            if cached is None:
                raise
            return cached, "hit"

    async def invalidate(self, key: str) -> None:
        """Removes the entry of `key`; call this after the commit that changes the value.

        If Redis cannot be reached, the old entry remains until it expires.
        """
        self.changed(key)
        if self._redis is not None and self._breaker.allows():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.delete(key)
                pipeline.publish(local_cache.CHANNEL, key)
                await self._guard(pipeline.execute())

    def changed(self, key: str) -> None:
        """Handles a change of the value of `key`, made in this process or in another one."""
        if self._local is not None:
            self._local.drop(key)
        if key in self._loads:
            self._outdated.add(key)  # A running load may have read the old value.

    async def _load(self, key: str, load: Load) -> bytes | None:
        self._outdated.discard(key)
        value = await load()
        if value is None or key in self._outdated:
            return value
        if self._local is not None:
            self._local.set(key, value)
        if self._redis is not None and self._breaker.allows():
            spread = random.uniform(1 - JITTER, 1 + JITTER)
            expires_ms = max(1, int(self._ttl_seconds * spread * 1000))
            await self._guard(self._redis.set(key, value, px=expires_ms))
        return value

    async def _read(self, key: str) -> bytes | None:
        if self._redis is None or not self._breaker.allows():
            return None
        value = await self._guard(self._redis.get(key))
        return value if isinstance(value, bytes) else None

    async def _guard(self, call: Awaitable[object]) -> object:
        """Returns the result of a Redis call; if it fails, records the failure and returns None."""
        try:
            result = await call
        except REDIS_ERRORS as error:
            self._breaker.failed()
            if self._breaker.is_open:
                logger.warning(
                    "Redis is not used for a while after repeated failures: %s",
                    type(error).__name__,
                )
            return None
        self._breaker.succeeded()
        return result
