"""Work of requests that is done for many of them at once, outside of them.

Lines of the log and observations of histograms are queued, and a thread writes them. An entry is
written within a tenth of a second, and at the end of the process. If the process is killed with
SIGKILL, the entries of this time are lost.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import threading
import time
import weakref
from typing import Protocol

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.05


class Source(Protocol):
    """A queue."""

    def flush(self) -> None:
        """Writes all entries. Several threads can call it at once."""


class Flusher:
    """A thread that flushes queues while they have entries, and otherwise sleeps."""

    def __init__(self) -> None:
        self._sources: tuple[weakref.ref[Source], ...] = ()
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.flush)

    def _reset(self) -> None:
        """A forked process has no threads but the forking one, so it starts its own."""
        self._awake = False
        self._entries = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, source: Source) -> None:
        """Flushes `source` from now on, as long as it exists."""
        with self._lock:
            living = (found for found in self._sources if found() is not None)
            self._sources = (*living, weakref.ref(source))

    def wake(self) -> None:
        """Starts an interval, after which the queues are flushed. Call it after adding an entry."""
        if self._awake:
            return
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="batches", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter ends
                    self.flush()
                    return
                self._thread = thread
            self._awake = True
        self._entries.set()

    def flush(self) -> None:
        """Flushes all queues now."""
        for reference in self._sources:
            source = reference()
            if source is None:
                continue
            try:
                source.flush()
            except Exception:
                logger.exception("entries of a queue are lost")

    def _run(self) -> None:
        # A signal would interrupt a write to a pipe in the middle of a line.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            self._entries.wait()
            self._entries.clear()
            time.sleep(INTERVAL_SECONDS)
            self._awake = False  # from here on, a new entry starts the next interval
            self.flush()


_flusher = Flusher()
watch, wake, flush = _flusher.watch, _flusher.wake, _flusher.flush
