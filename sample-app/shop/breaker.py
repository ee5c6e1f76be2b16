"""A circuit breaker: if a dependency keeps failing, it is not called for a while."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Opens after `failures` failures in a row, and allows one trial call after `open_seconds`.

    Args:
        failures: Number of failures in a row that opens the breaker.
        open_seconds: Time in seconds until a trial call is allowed.
        clock: Returns monotonic seconds; tests replace it.
    """

    def __init__(
        self,
        failures: int = 5,
        open_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._failures = 0
        self._trial_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are skipped now."""
        return self._failures >= self._limit and self._clock() < self._trial_at

    def allows(self) -> bool:
        """Returns whether to make the call; after the pause, only one of several callers may."""
        if self._failures < self._limit:
            return True
        if self._clock() < self._trial_at:
            return False
        self._trial_at = self._clock() + self._open_seconds
        return True

    def succeeded(self) -> None:
        """Records that the call succeeded."""
        self._failures = 0

    def failed(self) -> None:
        """Records that the call failed."""
        self._failures += 1
        if self._failures >= self._limit:
            self._trial_at = self._clock() + self._open_seconds
