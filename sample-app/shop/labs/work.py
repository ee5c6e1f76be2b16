"""CPU-intensive pure functions, which can also run in another thread or process."""

from __future__ import annotations

import functools
import hashlib

ROUNDS_MAX = 2_000_000


def digest(rounds: int) -> str:
    """Hashes a few bytes repeatedly; two million rounds take about a second."""
    value = b"shop"
    for _ in range(rounds):
        value = hashlib.md5(value, usedforsecurity=False).digest()
    return value.hex()


@functools.lru_cache(maxsize=1024)
def price_label(price_cents: int, currency: str) -> str:
    """Formats a price. `lru_cache` suits it because it is pure and its results are small.

    On an `async def` function, `lru_cache` would store the coroutine, which can be awaited only
    once: the second caller would get "cannot reuse already awaited coroutine".
    """
    whole, cents = divmod(price_cents, 100)
    return f"{whole:,}.{cents:02d} {currency}"
