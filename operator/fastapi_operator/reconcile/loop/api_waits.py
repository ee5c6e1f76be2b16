"""Services that wait for an API, for example of cert-manager, which may arrive in the same sync.

The discovery is up to a minute old, and definitions may be applied after the services that need
them. A service that is reported as stalled would fail the sync of a GitOps tool.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi_operator.reconcile.observe.identity import ServiceKey

# A chart with its definitions is applied in less; a person who must install one should not wait.
WAIT_SECONDS = 120.0
# While a service waits, the APIs are discovered again this often.
POLL_SECONDS = 5.0


class ApiWaits:
    """The services that wait for an API, each with its generation and since when."""

    def __init__(self, *, clock: Callable[[], float], discover: Callable[[], None]) -> None:
        """Starts without services.

        Args:
            clock: The monotonic time in seconds.
            discover: Requests a discovery.
        """
        self._clock = clock
        self._discover = discover
        self._since: dict[ServiceKey, tuple[int, float]] = {}

    def seconds_left(
        self, key: ServiceKey, generation: int, before: Mapping[str, Any], *, needs_api: bool
    ) -> float:
        """Returns how long a service may still wait; 0 if it needs no API or has waited.

        Args:
            key: The service.
            generation: The generation of its spec.
            before: Its stored status. A former process may already have waited for this spec.
            needs_api: Whether only a missing API prevents the service from being applied.
        """
        if not needs_api:
            self.forget(key)
            return 0.0
        known, since = self._since.get(key, (-1, 0.0))
        if known != generation:
            since = float("-inf") if _has_stalled(before, generation) else self._clock()
            self._since[key] = (generation, since)
        left = max(0.0, since + WAIT_SECONDS - self._clock())
        if left:
            self._discover()
        return left

    def forget(self, key: ServiceKey) -> None:
        """Drops a service."""
        self._since.pop(key, None)


def _has_stalled(status: Mapping[str, Any], generation: int) -> bool:
    return any(
        condition["type"] == "Stalled"
        and condition["status"] == "True"
        and condition.get("observedGeneration") == generation
        for condition in status.get("conditions") or ()
    )
