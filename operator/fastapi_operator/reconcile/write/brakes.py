"""Brakes against runaway writes: a write that is always reverted, and too many deletes."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi_operator.resources.desired import ObjectKey

LOOP_WRITES = 5
LOOP_WINDOW_SECONDS = 600.0
DELETES_A_MINUTE = 10


@dataclass
class _Written:
    """The last content that was written to an object, and when it was written again.

    Attributes:
        uid: The object.
        content: Digest of the content.
        at: When it was written last.
        repeats: When the same content was written again.
    """

    uid: str
    content: str
    at: float
    repeats: deque[float] = field(default_factory=lambda: deque(maxlen=LOOP_WRITES))


class Brakes:
    """Keeps the recent writes and deletes of all services.

    The same content must be written to the same object again only if another client reverted it.
    Other content, for example with the stamp of a rotated Secret, or a new object with the name of
    a deleted one, starts from zero.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._writes: dict[ObjectKey, _Written] = {}
        self._deletes: deque[float] = deque()

    def is_loop(self, key: ObjectKey, uid: str, content: str) -> bool:
        """Whether the same content was reverted too often by another client."""
        known = self._writes.get(key)
        if known is None or (known.uid, known.content) != (uid, content):
            return False
        _forget_before(known.repeats, self._clock() - LOOP_WINDOW_SECONDS)
        return len(known.repeats) >= LOOP_WRITES

    def wrote(self, key: ObjectKey, uid: str, content: str) -> None:
        """Records a write."""
        now, known = self._clock(), self._writes.get(key)
        if known is None or (known.uid, known.content) != (uid, content):
            self._writes[key] = _Written(uid, content, now)
            return
        known.at = now
        known.repeats.append(now)

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
        for key in [key for key, written in self._writes.items() if written.at < horizon]:
            del self._writes[key]


def _forget_before(times: deque[float], horizon: float) -> None:
    while times and times[0] < horizon:
        times.popleft()
