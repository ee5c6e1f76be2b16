"""What a new operator version renders differently reaches a few services at a time.

The change of a spec is its owner's wish and is done at once. A change without one comes from the
operator: an upgrade, or other settings. It is found in the first pass over a service in this
process, when the status already answers the newest generation. Such services take turns: the next
begins when one is ready again, so that a version under which services do not become ready stops
after the first few. A service that was not ready before cannot get worse and takes no turn. Who has
a turn stands in its status before anything of it is written, so that an operator that is restarted,
or dies again and again, does not hand out more.
"""

from collections.abc import Callable

from fastapi_operator.reconcile.observe.identity import Key


class Rollouts:
    """Who waits for a turn, and who has one."""

    def __init__(self, *, at_once: int, wake: Callable[[Key], None]) -> None:
        self.at_once = at_once
        self._wake = wake
        self._judged: set[Key] = set()
        self._waiting: dict[Key, int] = {}
        self._rolling: set[Key] = set()

    def judge(self, key: Key, *, generation: int, ours: bool) -> None:
        """Notes, at the first pass over a service, whether the operator alone changes it.

        Args:
            key: The service.
            generation: The generation of its spec.
            ours: Workloads are to be changed although the spec was answered before.
        """
        if key in self._judged:
            return
        self._judged.add(key)
        if ours:
            self._waiting[key] = generation

    def is_ours(self, key: Key) -> bool:
        """Whether the service waits for what the operator alone changes."""
        return key in self._waiting

    def may_begin(self, key: Key, *, generation: int, ready: bool) -> bool:
        """Whether what has changed may be written now."""
        if key not in self._waiting:
            return True
        if self._waiting[key] == generation and ready:
            if key not in self._rolling and len(self._rolling) >= self.at_once:
                return False
            self._rolling.add(key)
        del self._waiting[key]
        return True

    def resume(self, key: Key) -> None:
        """Gives a service the turn back that it had in an earlier process."""
        self._rolling.add(key)

    def has_turn(self, key: Key) -> bool:
        """Whether others wait for this service to become ready."""
        return key in self._rolling

    def settled(self, key: Key) -> None:
        """Ends the turn of a service that is ready, or that nobody waits for any more."""
        if key in self._rolling:
            self._rolling.discard(key)
            for next_key in list(self._waiting)[: self.at_once - len(self._rolling)]:
                self._wake(next_key)

    def forget(self, key: Key) -> None:
        """Drops a service that is gone."""
        self._judged.discard(key)
        self._waiting.pop(key, None)
        self.settled(key)

    @property
    def waiting(self) -> int:
        """Services that wait for their turn."""
        return len(self._waiting)
