"""The log level of a failure that repeats: a warning at first, an error when it lasts."""

from collections.abc import Callable
from typing import Any

ERROR_AFTER_SECONDS = 30.0


class Failures:
    """One kind of failure, for example of a renewal."""

    def __init__(
        self,
        log: Any,
        event: str,
        *,
        clock: Callable[[], float],
        error_after: float | None = None,
    ) -> None:
        self._log = log
        self._event = event
        self._clock = clock
        self._error_after = ERROR_AFTER_SECONDS if error_after is None else error_after
        self._since: float | None = None

    def add(self, **values: object) -> None:
        """Logs a failure."""
        now = self._clock()
        if self._since is None:
            self._since = now
        lasted = now - self._since
        write = self._log.error if lasted >= self._error_after else self._log.warning
        write(self._event, failing_seconds=round(lasted), **values)

    def end(self) -> None:
        """Notes a success."""
        self._since = None

    @property
    def seconds(self) -> float:
        """How long it has failed."""
        return 0.0 if self._since is None else self._clock() - self._since
