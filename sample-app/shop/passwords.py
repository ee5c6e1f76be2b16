"""Password hashing with argon2id, in a limited number of separate threads.

A hash intentionally takes tens of milliseconds of CPU. In the event loop it would block every other
request, and in the shared thread pool it would use the threads of `def` endpoints. argon2 releases
the interpreter lock, so its threads run in parallel with the event loop.
"""

from __future__ import annotations

import secrets

import anyio
import anyio.to_thread
import argon2

MEMORY_KIB = 19 * 1024
"""With two passes and one lane, this is OWASP's first recommendation for argon2id. The library's
default needs 64 MiB per hash, too much for a container with 256 MiB."""


class PasswordHasher:
    """Hashes and checks passwords off the event loop.

    Args:
        concurrency: Number of hashes at the same time; each needs `MEMORY_KIB` of memory.
    """

    def __init__(self, concurrency: int) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=MEMORY_KIB, parallelism=1)
        self._limiter = anyio.CapacityLimiter(concurrency)
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Returns the hash of `password`, which includes salt and parameters."""
        return await anyio.to_thread.run_sync(self._hasher.hash, password, limiter=self._limiter)

    async def matches(self, password_hash: str, password: str) -> bool:
        """Returns whether the hash is that of `password`."""
        return await anyio.to_thread.run_sync(
            self._matches, password_hash, password, limiter=self._limiter
        )

    async def decoy(self) -> str:
        """Returns a hash that no password matches, for a sign-in with an unknown e-mail address."""
        if self._decoy is None:
            self._decoy = await self.hash(secrets.token_urlsafe())
        return self._decoy

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except argon2.exceptions.VerificationError:
            return False
