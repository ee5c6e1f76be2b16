"""The work queue: each service at most once, one reconciliation at a time, with back-off.

The clock is passed in, so that tests need no sleep.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable
from typing import NamedTuple

from fastapi_operator.reconcile.observe.identity import ServiceKey

BACKOFF_FLOOR_SECONDS = 1.0
BACKOFF_CEILING_SECONDS = 300.0


class _Entry(NamedTuple):
    """When a service is due, and by when it should be handed out; earlier deadlines go first."""

    due: float
    deadline: float


class Queue:
    """The services to reconcile, now or later.

    If a service is added while it is being reconciled, it is handed out again after ``done``. If
    it is added again for an earlier time, it moves forward. Among the services that are due, the
    one with the earliest deadline is handed out first.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._entries: dict[ServiceKey, _Entry] = {}
        self._active: set[ServiceKey] = set()
        self._failures: dict[ServiceKey, int] = {}
        # Heaps by due time and by deadline; an item that no longer matches its entry is skipped.
        self._later: list[tuple[float, int, ServiceKey]] = []
        self._ready: list[tuple[float, int, ServiceKey]] = []
        self._count = itertools.count()
        self._changed = asyncio.Event()
        self._taking = asyncio.Lock()
        self._paused = False

    def add(self, key: ServiceKey, *, delay: float = 0.0, slack: float = 0.0) -> None:
        """Adds a service, or moves it forward if it is already queued for a later time.

        Args:
            key: The service.
            delay: Seconds until it is due.
            slack: Seconds after its due time for which services that become due later may be
                handed out before it.
        """
        due = self._clock() + delay
        entry, known = _Entry(due, due + slack), self._entries.get(key)
        if known is not None:
            entry = _Entry(min(entry.due, known.due), min(entry.deadline, known.deadline))
        if entry == known:
            return
        self._entries[key] = entry
        if key not in self._active:
            self._push(key)

    def _push(self, key: ServiceKey) -> None:
        heapq.heappush(self._later, (self._entries[key].due, next(self._count), key))
        self._changed.set()

    def retry(self, key: ServiceKey, *, min_delay: float = 0.0) -> float:
        """Adds a service after a failure and returns the delay in seconds.

        The delay doubles with each failure in a row. Up to half of it is added at random, so that
        services that failed together are not retried together.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        doubled = BACKOFF_FLOOR_SECONDS * 2.0 ** min(failures, 16)
        delay = max(min(doubled, BACKOFF_CEILING_SECONDS), min_delay) * (1 + self._jitter() / 2)
        self.add(key, delay=delay)
        return delay

    def succeeded(self, key: ServiceKey) -> None:
        """Resets the back-off of a service."""
        self._failures.pop(key, None)

    def forget(self, key: ServiceKey) -> None:
        """Drops a deleted service."""
        self._entries.pop(key, None)
        self._failures.pop(key, None)

    def take(self) -> ServiceKey | None:
        """Returns a service that is due and not active, or None. The caller must call ``done``."""
        if self._paused:
            return None
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, number, key = heapq.heappop(self._later)
            entry = self._entries.get(key)
            if entry is not None and entry.due == due:
                heapq.heappush(self._ready, (entry.deadline, number, key))
        while self._ready:
            deadline, _, key = heapq.heappop(self._ready)
            entry = self._entries.get(key)
            if entry is not None and entry.deadline == deadline and key not in self._active:
                del self._entries[key]
                self._active.add(key)
                return key
        return None

    def done(self, key: ServiceKey) -> None:
        """Marks the reconciliation of a service as finished."""
        self._active.discard(key)
        if key in self._entries:
            self._push(key)
        self._changed.set()

    async def get(self) -> ServiceKey:
        """Waits for a service that is due; only one worker at a time watches the queue."""
        async with self._taking:
            while (key := self.take()) is None:
                self._changed.clear()
                try:
                    async with asyncio.timeout(self.next_in()):
                        await self._changed.wait()
                except TimeoutError:
                    continue
            return key

    def next_in(self) -> float | None:
        """Returns the seconds until a service that is not active is due; None if there is none."""
        if self._paused or not (self._ready or self._later):
            return None
        return 0.0 if self._ready else max(0.0, self._later[0][0] - self._clock())

    def pause(self) -> None:
        """Hands out no more services; active reconciliations continue."""
        self._paused = True

    async def idle(self) -> None:
        """Waits until no reconciliation is active; call ``pause`` first."""
        while self._active:
            self._changed.clear()
            await self._changed.wait()

    def resume(self) -> None:
        """Hands out services again."""
        self._paused = False
        self._changed.set()

    @property
    def active(self) -> int:
        """The number of active reconciliations."""
        return len(self._active)

    @property
    def depth(self) -> int:
        """The number of services that are due and wait for a worker."""
        now = self._clock()
        return sum(1 for due, _ in self._entries.values() if due <= now)

    @property
    def oldest_wait_seconds(self) -> float:
        """How long the longest waiting service has been due."""
        now = self._clock()
        return max((now - due for due, _ in self._entries.values() if due <= now), default=0.0)
