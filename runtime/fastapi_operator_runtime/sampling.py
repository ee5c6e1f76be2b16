"""Signals that must be sampled: event-loop lag, threads, pools, memory, stalls.

One task wakes ten times a second; its delay is the lag. If the task has not woken for long, a
thread logs the stack of the loop. The usual cause is a blocking call inside `async def`.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
import weakref
from typing import Protocol

import anyio.to_thread

from fastapi_operator_runtime import metrics, waits

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.1
SLOW_INTERVALS = 10
"""Expensive gauges are sampled once per this number of intervals: every second."""


class Source(Protocol):
    """An object whose gauges are updated at each sample, for example a connection pool."""

    def sample(self, instruments: metrics.Instruments) -> None:
        """Updates the gauges with the current values."""


_sources: weakref.WeakSet[Source] = weakref.WeakSet()


def watch(source: Source) -> None:
    """Updates `source` once a second, as long as it exists."""
    _sources.add(source)


class Sampler:
    """Runs next to the application in its event loop."""

    def __init__(self, instruments: metrics.Instruments, *, stall_seconds: float | None) -> None:
        self._instruments = instruments
        self._usage = metrics.ProcessUsage(instruments)
        self._task: asyncio.Task[None] | None = None
        self._watchdog = Watchdog(instruments, stall_seconds) if stall_seconds else None

    def start(self) -> None:
        """Starts sampling in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="fastapi-operator-sampler")
        if self._watchdog is not None:
            self._watchdog.start()

    async def stop(self) -> None:
        """Stops sampling."""
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        count = 0
        while True:
            due = time.monotonic() + INTERVAL_SECONDS
            await asyncio.sleep(INTERVAL_SECONDS)
            lag = max(0.0, time.monotonic() - due)
            self._instruments.loop_lag_seconds.observe(lag)
            waits.report("event loop", lag)
            if self._watchdog is not None:
                self._watchdog.beat()
            if count % SLOW_INTERVALS == 0:
                self._sample()
            count += 1

    def _sample(self) -> None:
        threads = anyio.to_thread.current_default_thread_limiter().statistics()
        self._instruments.threads_used.set(threads.borrowed_tokens)
        self._instruments.threads_max.set(threads.total_tokens)
        self._instruments.threads_waiting.set(threads.tasks_waiting)
        self._usage.update()
        for source in list(_sources):
            source.sample(self._instruments)


class Watchdog:
    """A thread that logs the stack of a stuck event loop, once per stall."""

    def __init__(self, instruments: metrics.Instruments, stall_seconds: float) -> None:
        self._instruments = instruments
        self._stall_seconds = stall_seconds
        self._beaten_at = time.monotonic()
        self._loop_thread = threading.get_ident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop-watchdog", daemon=True)

    def start(self) -> None:
        """Starts to watch the calling thread."""
        self._loop_thread = threading.get_ident()
        self.beat()
        self._thread.start()

    def beat(self) -> None:
        """Records that the loop runs."""
        self._beaten_at = time.monotonic()

    def stop(self) -> None:
        """Stops watching."""
        self._stop.set()

    def _run(self) -> None:
        reported_beat = 0.0
        while not self._stop.wait(self._stall_seconds / 2):
            beaten_at = self._beaten_at
            silent = time.monotonic() - beaten_at
            if silent < self._stall_seconds or beaten_at == reported_beat:
                continue
            reported_beat = beaten_at
            self._instruments.loop_stalls.inc()
            frame = sys._current_frames().get(self._loop_thread)
            logger.warning(
                "event loop is blocked for %.1f s, at:\n%s",
                silent,
                "".join(traceback.format_stack(frame)[-8:]) if frame else "unknown",
            )
