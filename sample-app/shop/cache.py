"""Cache-aside in Redis. If the cache is slow or down, it costs latency, but causes no error.

The database is protected by: one load per key and process at a time (single flight); lifetimes that
vary by a tenth, so that keys of the same second do not expire together; short timeouts; and a
breaker, so that a dead Redis gets one request in five seconds instead of one per request.
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
REDIS_FAULTS = (RedisError, OSError, TimeoutError)


class Cache:
    """Bytes by key.

    Args:
        redis: The client; if None, nothing is cached.
        ttl_seconds: Mean lifetime of an entry.
        circuit: The breaker in front of Redis.
        local: Entries that are also kept in the process.
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
        """Returns the entry of `key`; if there is none, loads and stores it.

        Args:
            key: The entry's name.
            load: Reads the value from its source; if it returns None, no entry is stored.

        Returns:
            The value, and whether Redis had it.
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
            # Its own task, so that a disconnecting client does not cancel the others.
            task = asyncio.create_task(self._load(key, load), name=f"load {key}")
            self._loads[key] = task
            task.add_done_callback(lambda _done: self._loads.pop(key, None))
        try:
            return await asyncio.shield(task), "miss"
        except Exception:
            # Redis may only have been slow: if the source is down, a second try is worthwhile.
            cached = await self._read(key)
            if cached is None:
                raise
            return cached, "hit"

    async def invalidate(self, key: str) -> None:
        """Deletes the entry of `key`; call it after the commit that changes it.

        If Redis cannot be reached, the old entry stays until it expires.
        """
        self.changed(key)
        if self._redis is not None and self._breaker.allows():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.delete(key)
                pipeline.publish(local_cache.CHANNEL, key)
                await self._guard(pipeline.execute())

    def changed(self, key: str) -> None:
        """Records that the source of `key` has changed, here or in another process."""
        if self._local is not None:
            self._local.drop(key)
        if key in self._loads:
            self._outdated.add(key)  # that load may have read the value before the change

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
        """Returns the response of Redis; if it fails, None, and the breaker counts a failure."""
        try:
            answer = await call
        except REDIS_FAULTS as error:
            self._breaker.failed()
            if self._breaker.is_open:
                logger.warning("cache is left alone for a while: %s", type(error).__name__)
            return None
        self._breaker.succeeded()
        return answer
