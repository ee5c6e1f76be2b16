"""Work that keeps a CPU busy; pure, so that it can run in another thread or process."""

from __future__ import annotations

import functools
import hashlib

ROUNDS_MAX = 2_000_000


def digest(rounds: int) -> str:
    """Hashes a few bytes repeatedly: about a second for two million rounds."""
    value = b"shop"
    for _ in range(rounds):
        value = hashlib.md5(value, usedforsecurity=False).digest()
    return value.hex()


@functools.lru_cache(maxsize=1024)
def price_label(price_cents: int, currency: str) -> str:
    """Returns a price for people. It is pure and small, so `lru_cache` suits it.

    If it were an `async def` function, `lru_cache` would keep the coroutine, which can be awaited
    once: the second caller gets "cannot reuse already awaited coroutine".
    """
    whole, cents = divmod(price_cents, 100)
    return f"{whole:,}.{cents:02d} {currency}"
