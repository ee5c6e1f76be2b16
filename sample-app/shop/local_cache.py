"""Entries kept for a few seconds in the process, in front of Redis: disabled by default.

It saves the round trip for the most requested keys. It is safe with several replicas because every
change is published: if a process does not receive the publications, it keeps no entries.
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
    """At most `entries` values for at most `ttl_seconds`; least recently used first out.

    Args:
        ttl_seconds: Lifetime; also the limit of staleness if a publication is lost.
        entries: Largest number of values.
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
        """Returns the value if it is present and fresh."""
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
        """Stores a value, unless publications are not received."""
        if not self.listening:
            return
        self._values[key] = (self._clock() + self._ttl_seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > self._entries:
            self._values.popitem(last=False)

    def drop(self, key: str) -> None:
        """Deletes one value."""
        self._values.pop(key, None)

    def deafen(self) -> None:
        """Deletes all values, and stores none until publications are received again."""
        self.listening = False
        self._values.clear()


class Listener:
    """Receives the changes that any process publishes.

    Args:
        redis: Its own client, because a subscription occupies its connection.
        local: The entries; disabled while there is no subscription.
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
                logger.info("no changes are heard for a while: %s", type(error).__name__)
            self._local.deafen()
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with contextlib.aclosing(self._redis.pubsub()) as subscription:
            await subscription.subscribe(CHANNEL)
            while True:
                message = await subscription.get_message(timeout=LISTEN_SECONDS)
                if message is None:
                    # A dead peer is silent as well: only a response shows that it is up.
                    await subscription.ping()
                elif message["type"] == "subscribe":
                    self._local.listening = True
                elif message["type"] == "message":
                    self._changed(message["data"].decode())
