"""A few seconds of entries inside the process, in front of Redis: off unless asked for.

It saves the round trip for the hottest keys. What makes it safe with several replicas is that
every change is published: a process that cannot hear the publications keeps nothing.
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
    """At most `entries` values for at most `ttl_seconds`, the least recently used dropped first.

    Args:
        ttl_seconds: Lifetime; also the bound on staleness should a publication be lost.
        entries: Most values kept.
        clock: Seconds, monotonic; for tests.
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
        """The value, where it is present and fresh."""
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
        """Keep a value; nothing is kept while changes cannot be heard."""
        if not self.listening:
            return
        self._values[key] = (self._clock() + self._ttl_seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > self._entries:
            self._values.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget one value."""
        self._values.pop(key, None)

    def deafen(self) -> None:
        """Forget everything, and keep nothing until changes are heard again."""
        self.listening = False
        self._values.clear()


class Listener:
    """Hears the changes that any process publishes.

    Args:
        redis: A client of its own: a subscription occupies its connection.
        local: Deafened while there is no subscription.
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
        """Begin to listen."""
        self._task = asyncio.create_task(self._run(), name="cache-listener")

    async def stop(self) -> None:
        """End listening and close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._redis.aclose()

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (RedisError, OSError, TimeoutError) as error:
                logger.info("no changes are heard for a while: %s", type(error).__name__)
            self._local.deafen()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with contextlib.aclosing(self._redis.pubsub()) as subscription:
            await subscription.subscribe(CHANNEL)
            while True:
                message = await subscription.get_message(timeout=LISTEN_SECONDS)
                if message is None:
                    # A dead peer is silent as well: only an answer shows that it is there.
                    await subscription.ping()
                elif message["type"] == "subscribe":
                    self._local.listening = True
                elif message["type"] == "message":
                    self._changed(message["data"].decode())
