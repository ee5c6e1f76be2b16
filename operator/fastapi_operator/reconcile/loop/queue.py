"""The work queue: each service at most once, one pass at a time, failures with back-off.

Everything is decided by the time that is passed in, so that tests need no sleeping.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable
from typing import NamedTuple

from fastapi_operator.reconcile.observe.identity import Key

BACKOFF_FLOOR_SECONDS = 1.0
BACKOFF_CEILING_SECONDS = 300.0


class _Wish(NamedTuple):
    """When a pass is wanted, and its rank among those that are due: the least comes first."""

    due: float
    rank: float


class Queue:
    """Keys that are due now or later.

    A key that is added while its pass runs is handed out again after ``done``. A key that waits
    for a later time comes forward when it is added for an earlier one. Among keys that are due
    the patient ones let others go first, each for as long as its patience lasts.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._wishes: dict[Key, _Wish] = {}
        self._active: set[Key] = set()
        self._failures: dict[Key, int] = {}
        # By time and by rank; an entry that is no longer its key's wish is skipped.
        self._later: list[tuple[float, int, Key]] = []
        self._ready: list[tuple[float, int, Key]] = []
        self._count = itertools.count()
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._paused = False

    def add(self, key: Key, *, after: float = 0.0, patience: float = 0.0) -> None:
        """Wants a pass for ``key`` in ``after`` seconds, or at an earlier time already asked.

        Args:
            key: The service.
            after: Seconds until it is due.
            patience: Seconds for which keys that become due later may go before it.
        """
        due = self._clock() + after
        wish, known = _Wish(due, due + patience), self._wishes.get(key)
        if known is not None:
            wish = _Wish(min(wish.due, known.due), min(wish.rank, known.rank))
        if wish == known:
            return
        self._wishes[key] = wish
        if key not in self._active:
            self._line_up(key)

    def _line_up(self, key: Key) -> None:
        heapq.heappush(self._later, (self._wishes[key].due, next(self._count), key))
        self._changed.set()

    def retry(self, key: Key, *, at_least: float = 0.0) -> float:
        """Wants another pass after a failure; answers in how many seconds.

        The wait doubles with each failure in a row and is spread by half, so that services that
        failed together do not come back together.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        doubled = BACKOFF_FLOOR_SECONDS * 2.0 ** min(failures, 16)
        wait = max(min(doubled, BACKOFF_CEILING_SECONDS), at_least) * (1 + self._jitter() / 2)
        self.add(key, after=wait)
        return wait

    def succeeded(self, key: Key) -> None:
        """Forgets the failures of a key."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """Drops a key whose service is gone."""
        self._wishes.pop(key, None)
        self._failures.pop(key, None)

    def take(self) -> Key | None:
        """A key that is due and not in work, or None. Whoever takes it must call ``done``."""
        if self._paused:
            return None
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, number, key = heapq.heappop(self._later)
            wish = self._wishes.get(key)
            if wish is not None and wish.due == due:
                heapq.heappush(self._ready, (wish.rank, number, key))
        while self._ready:
            rank, _, key = heapq.heappop(self._ready)
            wish = self._wishes.get(key)
            if wish is not None and wish.rank == rank and key not in self._active:
                del self._wishes[key]
                self._active.add(key)
                return key
        return None

    def done(self, key: Key) -> None:
        """Ends a pass."""
        self._active.discard(key)
        if key in self._wishes:
            self._line_up(key)
        self._changed.set()

    async def get(self) -> Key:
        """Waits for a key that is due; one worker at a time looks, the others stand behind it."""
        async with self._turn:
            while (key := self.take()) is None:
                self._changed.clear()
                try:
                    async with asyncio.timeout(self.next_in()):
                        await self._changed.wait()
                except TimeoutError:
                    continue
            return key

    def next_in(self) -> float | None:
        """Seconds until some key is due that is not in work; None where there is none."""
        if self._paused or not (self._ready or self._later):
            return None
        return 0.0 if self._ready else max(0.0, self._later[0][0] - self._clock())

    def pause(self) -> None:
        """Hands out nothing more; passes in work go on."""
        self._paused = True

    async def idle(self) -> None:
        """Waits until no pass is in work; for use after ``pause``."""
        while self._active:
            self._changed.clear()
            await self._changed.wait()

    def resume(self) -> None:
        """Hands out keys again."""
        self._paused = False
        self._changed.set()

    @property
    def active(self) -> int:
        """Passes in work."""
        return len(self._active)

    @property
    def depth(self) -> int:
        """Keys that are due and wait for a worker."""
        now = self._clock()
        return sum(1 for due, _ in self._wishes.values() if due <= now)

    @property
    def oldest_wait_seconds(self) -> float:
        """How long the longest waiting key has been due."""
        now = self._clock()
        return max((now - due for due, _ in self._wishes.values() if due <= now), default=0.0)
