"""Brakes against runaway writes: the same write repeatedly, and too many deletes."""

from collections import deque
from collections.abc import Callable

from fastapi_operator.resources.desired import ObjectKey

LOOP_WRITES = 5
LOOP_WINDOW_SECONDS = 600.0
DELETES_A_MINUTE = 10


class Brakes:
    """Keeps the recent writes and deletes of all services."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._writes: dict[ObjectKey, tuple[str, deque[float]]] = {}
        self._deletes: deque[float] = deque()

    def is_loop(self, key: ObjectKey, digest: str) -> bool:
        """Whether the same write was repeated too often, because another client undoes it."""
        known = self._writes.get(key)
        if known is None or known[0] != digest:
            return False
        _forget_before(known[1], self._clock() - LOOP_WINDOW_SECONDS)
        return len(known[1]) >= LOOP_WRITES

    def wrote(self, key: ObjectKey, digest: str) -> None:
        """Records a write."""
        known = self._writes.get(key)
        if known is None or known[0] != digest:
            known = (digest, deque(maxlen=LOOP_WRITES))
            self._writes[key] = known
        known[1].append(self._clock())

    def may_delete(self) -> bool:
        """Whether another object may be deleted now."""
        _forget_before(self._deletes, self._clock() - 60.0)
        return len(self._deletes) < DELETES_A_MINUTE

    def deleted(self) -> None:
        """Records a delete."""
        self._deletes.append(self._clock())

    @property
    def deletes_stopped(self) -> bool:
        """Whether deletes are stopped now."""
        return not self.may_delete()

    def sweep(self) -> None:
        """Drops writes that are too old to count."""
        horizon = self._clock() - LOOP_WINDOW_SECONDS
        for key in [key for key, (_, times) in self._writes.items() if times[-1] < horizon]:
            del self._writes[key]


def _forget_before(times: deque[float], horizon: float) -> None:
    while times and times[0] < horizon:
        times.popleft()
