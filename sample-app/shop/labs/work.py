"""Work that keeps a CPU busy; pure, so that it can run in another thread or process."""

from __future__ import annotations

import functools
import hashlib

ROUNDS_MAX = 2_000_000


def digest(rounds: int) -> str:
    """Hash a few bytes over and over: about a second for two million rounds."""
    value = b"shop"
    for _ in range(rounds):
        value = hashlib.md5(value, usedforsecurity=False).digest()
    return value.hex()


@functools.lru_cache(maxsize=1024)
def price_label(price_cents: int, currency: str) -> str:
    """A price for people. Pure and small: what `lru_cache` is for.

    On an `async def` function it would keep the coroutine, which can be awaited once: the second
    caller gets "cannot reuse already awaited coroutine".
    """
    whole, cents = divmod(price_cents, 100)
    return f"{whole:,}.{cents:02d} {currency}"
