"""How long a request has waited on its way from the proxy to the application.

The proxy adds the time at which it sent the request: `X-Request-Start: t=1700000000.123;by=NAME`.
Under overload, requests wait in the queue of the kernel, where the process cannot see them, but it
sees their age. The clocks of two machines differ, so the age of the youngest request of a proxy
counts as zero.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

HEADER = b"x-request-start"
WINDOW_SECONDS = 1.0
PROXIES_MAX = 256
BUSY = 0.5
"""Share of time in which the event loop computes or waits for a CPU. Below it, requests do not wait
for the process, and an age is due to the clocks."""
# Caddy has no decimal point in it.
_VALUE = re.compile(
    rb"t=(?P<seconds>\d{10})\.?(?P<milliseconds>\d{3})(?:;by=(?P<by>[A-Za-z0-9._-]{1,253}))?"
)


class Ages:
    """The ages of requests, relative to the youngest ones of the same proxy."""

    def __init__(self) -> None:
        self._offsets: dict[bytes, float] = {}
        self._least: dict[bytes, float] = {}
        self._window_ends = 0.0
        self._busy = Busy()

    def age(self, value: bytes) -> float | None:
        """Returns the age in seconds of a request with this header; None if it is not valid."""
        match = _VALUE.fullmatch(value)
        if match is None:
            return None
        now = time.time()
        proxy, apparent = match["by"] or b"", now - _seconds(match)
        if now >= self._window_ends:
            self._calibrate(now)
        self._least[proxy] = min(self._least.get(proxy, apparent), apparent)
        offset = self._offsets.get(proxy)
        if offset is None or apparent < offset:
            if len(self._offsets) >= PROXIES_MAX:
                self._offsets.clear()
            self._offsets[proxy] = offset = apparent
        return apparent - offset

    def _calibrate(self, now: float) -> None:
        """Corrects the offsets if a clock was set, or if the first requests had waited."""
        if self._busy.share() < BUSY:
            self._offsets = self._least
        self._least = {}
        self._window_ends = now + WINDOW_SECONDS


def _seconds(match: re.Match[bytes]) -> float:
    return int(match["seconds"]) + int(match["milliseconds"]) / 1000


class Busy:
    """The share of time in which the calling thread computes or waits for a CPU."""

    def __init__(self) -> None:
        self._last = self._read()

    def share(self) -> float:
        """Returns the share since the last call."""
        now = self._read()
        (used, at), self._last = self._last, now
        return (now[0] - used) / max(now[1] - at, 1e-3)

    @staticmethod
    def _read() -> tuple[float, float]:
        try:
            on_cpu, waiting, _ = Path("/proc/thread-self/schedstat").read_text().split()
            return (int(on_cpu) + int(waiting)) / 1e9, time.monotonic()
        except (OSError, ValueError):  # a kernel without scheduler statistics
            return time.thread_time(), time.monotonic()
