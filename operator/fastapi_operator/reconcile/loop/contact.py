"""Contact with the API server: how long ago a request that the operator depends on succeeded."""

from collections.abc import Callable

from fastapi_operator.cluster.kinds import LEASE

# The leader renews its Lease each 10 s, and a standby reads it each 2 s.
STALE_SECONDS = 30.0
# Without a Lease, only the discovery sends requests at rest: two of them may fail.
STALE_DISCOVERIES = 3
# Without contact for so long, the process exits: the next one reads its credentials again, and its
# restarts are visible.
EXIT_SECONDS = 300.0
# Kubernetes lets every user read these: their success does not show that the operator has rights.
_OPEN_TO_ALL = frozenset({"/apis", "/version"})


class NoContactError(RuntimeError):
    """The API server has not responded, or has refused every request, for too long."""


class Contact:
    """Notes successful requests.

    A process with a Lease depends on the Lease: without it, it must not reconcile. A process
    without one depends on any request that needs a right: its discovery lists namespaces.
    """

    def __init__(
        self, *, with_lease: bool, discovery_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._with_lease = with_lease
        self._clock = clock
        self._last = clock()
        self._made = False
        self.stale_seconds = STALE_SECONDS
        if not with_lease:
            self.stale_seconds = max(STALE_SECONDS, STALE_DISCOVERIES * discovery_seconds)
        self.exit_seconds = max(EXIT_SECONDS, 2 * self.stale_seconds if not with_lease else 0.0)

    def request(self, resource: str, status: int) -> None:
        """Notes a response of the API server; status 0 means that there was none."""
        is_lease = resource == LEASE.plural
        relevant = is_lease if self._with_lease else resource not in _OPEN_TO_ALL
        if relevant and 200 <= status < 300:
            self._last, self._made = self._clock(), True

    @property
    def age_seconds(self) -> float:
        """Seconds since the last success, or since the start if there was none."""
        return self._clock() - self._last

    def why_missing(self) -> str:
        """Returns why there is no contact; empty if there is."""
        what = "the Lease was not read or renewed" if self._with_lease else "no request succeeded"
        if not self._made:
            return f"{what} since the start {self.age_seconds:.0f} s ago; see the log"
        if self.age_seconds > self.stale_seconds:
            return f"{what} for {self.age_seconds:.0f} s; see the log"
        return ""
