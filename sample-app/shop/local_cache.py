"""An optional cache in the process, in front of Redis, for a few seconds.

It saves the round trip to Redis for the most popular keys. It is safe with several replicas because
every change is published: if a process is not subscribed to the changes, it stores nothing.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import time
from collections.abc import Callable

from redis import asyncio as redis_asyncio
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

CHANNEL = "shop:changed"
LISTEN_SECONDS = 5.0
RETRY_SECONDS = 1.0


class LocalCache:
    """Stores up to `entries` values for `ttl_seconds`; drops the least recently used first.

    Args:
        ttl_seconds: Lifetime of a value, also the longest time it is stale if a message is lost.
        entries: Maximum number of values.
        clock: Returns monotonic seconds; tests replace it.
    """

    def __init__(
        self, ttl_seconds: float, entries: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_seconds = ttl_seconds
        self._entries = entries
        self._clock = clock
        self._values: collections.OrderedDict[str, tuple[float, bytes]] = collections.OrderedDict()
        self.listening = False

    def get(self, key: str) -> bytes | None:
        """Returns the value if it exists and has not expired."""
        found = self._values.get(key)
        if found is None or not self.listening:
            return None
        expires_at, value = found
        if self._clock() >= expires_at:
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return value

    def set(self, key: str, value: bytes) -> None:
        """Stores a value, unless changes cannot be received."""
        if not self.listening:
            return
        self._values[key] = (self._clock() + self._ttl_seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > self._entries:
            self._values.popitem(last=False)

    def drop(self, key: str) -> None:
        """Removes one value."""
        self._values.pop(key, None)

    def disable(self) -> None:
        """Removes all values, and stores none until changes can be received again."""
        self.listening = False
        self._values.clear()


class Listener:
    """Receives the changes that any process publishes.

    Args:
        redis: A separate client, because a subscription occupies its connection.
        local: The cache to disable while there is no subscription.
        changed: Called with the key of each change.
    """

    def __init__(
        self, redis: redis_asyncio.Redis, local: LocalCache, changed: Callable[[str], None]
    ) -> None:
        self._redis = redis
        self._local = local
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to listen."""
        self._task = asyncio.create_task(self._run(), name="cache-listener")

    async def stop(self) -> None:
        """Stops listening and closes the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._redis.aclose()

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (RedisError, OSError, TimeoutError) as error:
                logger.info(
                    "the subscription to changes was lost and will be retried: %s",
                    type(error).__name__,
                )
            self._local.disable()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with contextlib.aclosing(self._redis.pubsub()) as subscription:
            await subscription.subscribe(CHANNEL)
            while True:
                message = await subscription.get_message(timeout=LISTEN_SECONDS)
                if message is None:
                    # No message may also mean that the connection is dead, so check it.
                    await subscription.ping()
                elif message["type"] == "subscribe":
                    self._local.listening = True
                elif message["type"] == "message":
                    self._changed(message["data"].decode())
