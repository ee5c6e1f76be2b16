"""Password hashing: argon2id, in its own threads, with a limited number at a time.

A hash takes tens of milliseconds of CPU on purpose. In the event loop, it would stop every other
request; in the shared thread pool, it would occupy threads of `def` endpoints. argon2 releases the
interpreter lock, so its threads run in parallel with the loop.
"""

from __future__ import annotations

import secrets

import anyio
import anyio.to_thread
import argon2

MEMORY_KIB = 19 * 1024
"""With two passes and one lane: OWASP's first recommendation for argon2id. The library's default
takes 64 MiB a hash, which a container of 256 MiB cannot afford."""


class PasswordHasher:
    """Hashes and checks passwords off the event loop.

    Args:
        concurrency: Hashes at a time; each needs `MEMORY_KIB` of memory.
    """

    def __init__(self, concurrency: int) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=MEMORY_KIB, parallelism=1)
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Returns the hash of `password`, with salt and parameters inside."""
        return await anyio.to_thread.run_sync(self._hasher.hash, password, limiter=self._limiter)

    async def matches(self, password_hash: str, password: str) -> bool:
        """Returns whether `password` is the one that was hashed."""
        return await anyio.to_thread.run_sync(
            self._matches, password_hash, password, limiter=self._limiter
        )

    async def decoy(self) -> str:
        """A hash that no password matches, for sign-ins of users who do not exist."""
        if self._decoy is None:
            self._decoy = await self.hash(secrets.token_urlsafe())
        return self._decoy

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except argon2.exceptions.VerificationError:
            return False
