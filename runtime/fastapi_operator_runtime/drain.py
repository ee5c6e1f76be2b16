"""Graceful stop: readiness goes off before the server stops accepting connections.

The server installs its own handler of SIGTERM before the application starts. Ours is put in front
of it and always calls it in the end, at once or after `delay_seconds`, in which the process still
serves while load balancers take note. A second signal is passed on at once. Servers that handle
signals outside Python (Granian) have no handler to wrap; there nothing is installed.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from fastapi_operator_runtime import state

Handler = Callable[[int, FrameType | None], Any]


class Drain:
    """Marks the worker as draining at SIGTERM, then lets the server stop."""

    def __init__(self, worker: state.Worker, *, delay_seconds: float = 0.0) -> None:
        self._worker = worker
        self._delay_seconds = delay_seconds
        self._previous: Handler | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Wrap the handler of SIGTERM that the server has installed."""
        if threading.current_thread() is not threading.main_thread():
            return  # signals can be handled in the main thread alone; a test server runs elsewhere
        previous = signal.getsignal(signal.SIGTERM)
        if not callable(previous):
            return
        self._previous = previous
        self._loop = asyncio.get_running_loop()
        signal.signal(signal.SIGTERM, self._on_signal)

    def restore(self) -> None:
        """Put the server's handler back, unless somebody replaced ours meanwhile."""
        # Bound methods are compared by equality: each attribute access makes a new object.
        if self._previous is not None and signal.getsignal(signal.SIGTERM) == self._on_signal:
            signal.signal(signal.SIGTERM, self._previous)
        self._previous = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        previous, loop = self._previous, self._loop
        if previous is None or loop is None:
            return
        if self._worker.draining or self._delay_seconds <= 0:
            self._worker.draining = True
            previous(number, frame)
            return
        self._worker.draining = True
        loop.call_soon_threadsafe(loop.call_later, self._delay_seconds, previous, number, None)
