"""A circuit breaker: if a dependency fails repeatedly, calls to it are skipped for a while."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Opens after `failures` failures in a row, and permits one trial after `open_seconds`.

    Args:
        failures: Failures in a row that open it.
        open_seconds: Time until a trial.
        clock: Seconds, monotonic; for tests.
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
        """Returns whether to make the call; after the pause, only one caller makes the trial."""
        if self._failures < self._limit:
            return True
        if self._clock() < self._trial_at:
            return False
        self._trial_at = self._clock() + self._open_seconds
        return True

    def succeeded(self) -> None:
        """Records a successful call."""
        self._failures = 0

    def failed(self) -> None:
        """Records a failed call."""
        self._failures += 1
        if self._failures >= self._limit:
            self._trial_at = self._clock() + self._open_seconds
