"""The shop with a watch over its event loop: `GET /longest-stall` returns and resets its finding.

Time for which the thread could run but other processes had the CPU, which Linux counts, is not part
of a stall.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from shop.main import app as shop

WAKE_SECONDS = 0.001

_longest = 0.0


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["path"] == "/longest-stall":
        await JSONResponse(await _found())(scope, receive, send)
    elif scope["type"] == "http":
        watching = asyncio.create_task(_watch())
        await asyncio.sleep(0)
        await shop(scope, receive, send)
        await asyncio.sleep(2 * WAKE_SECONDS)  # a stall at the end is seen when the watch wakes
        watching.cancel()
    else:
        await shop(scope, receive, send)


async def _watch() -> None:
    global _longest
    while True:
        asleep_at, waited = time.monotonic(), _waited_seconds()
        await asyncio.sleep(WAKE_SECONDS)
        passed = time.monotonic() - asleep_at - WAKE_SECONDS
        _longest = max(_longest, passed - (_waited_seconds() - waited))


def _waited_seconds() -> float:
    """Returns for how long this thread has waited for a CPU since its start."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


async def _found() -> float:
    global _longest
    await asyncio.sleep(4 * WAKE_SECONDS)  # until the watch of the last request has ended
    found, _longest = _longest, 0.0
    return found
