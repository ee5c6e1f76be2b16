"""Graceful stop: the worker stops being ready before the server stops accepting connections.

The server installs its own handler of SIGTERM before the application starts. The handler here is
put in front of it and always calls it: when no request has come for `QUIET_SECONDS`, or after
`delay_seconds` at most. Until then the process still serves while load balancers remove it, since a
server that stops closes connections on which a request can be on its way. If a second signal
arrives, it is passed on at once. If a server handles signals outside Python (Granian), no handler
is installed.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from fastapi_operator_runtime import state

QUIET_SECONDS = 5.0
"""Longer than the operator's proxy keeps an idle connection to the app."""

Handler = Callable[[int, FrameType | None], Any]


class Drain:
    """Marks the worker as draining at SIGTERM, then lets the server stop."""

    def __init__(self, worker: state.Worker, *, delay_seconds: float = 0.0) -> None:
        self._worker = worker
        self._delay_seconds = delay_seconds
        self._previous: Handler | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Wraps the handler of SIGTERM that the server has installed."""
        if threading.current_thread() is not threading.main_thread():
            return  # Only the main thread can handle signals; a test server runs in another one.
        previous = signal.getsignal(signal.SIGTERM)
        if not callable(previous):
            return
        self._previous = previous
        self._loop = asyncio.get_running_loop()
        signal.signal(signal.SIGTERM, self._on_signal)

    def restore(self) -> None:
        """Restores the server's handler, unless the handler was replaced in the meantime."""
        # Bound methods are compared by equality: each attribute access creates a new object.
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
        loop.call_soon_threadsafe(self._stop_when_quiet, time.perf_counter() + self._delay_seconds)

    def _stop_when_quiet(self, end: float) -> None:
        previous, loop = self._previous, self._loop
        if previous is None or loop is None:
            return
        stop_at = min(end, self._worker.requested_at + QUIET_SECONDS)
        remaining = stop_at - time.perf_counter()
        if remaining > 0:
            loop.call_later(remaining, self._stop_when_quiet, end)
        else:
            previous(signal.SIGTERM, None)
