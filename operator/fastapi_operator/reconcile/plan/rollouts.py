"""Limits how many services roll out a change of the operator at once.

A change of a spec is its owner's request and is applied at once. All other changes come from the
operator: an upgrade, or new settings. They are found in the first reconciliation of a service by
this process, if the status already reports the newest generation. Such services need a rollout
slot. A slot becomes free when its service is ready again, so that a version under which services
do not become ready stops after the first few. A service that was not ready before cannot get worse
and needs no slot. The slot is recorded in the service's status before anything else is written, so
that an operator that is restarted, or crashes repeatedly, does not hand out more.
"""

from collections.abc import Callable

from fastapi_operator.reconcile.observe.identity import ServiceKey


class Rollouts:
    """The services that wait for a rollout slot, and those that have one."""

    def __init__(self, *, limit: int, wake: Callable[[ServiceKey], None]) -> None:
        self.limit = limit
        self._wake = wake
        self._noted: set[ServiceKey] = set()
        self._waiting: dict[ServiceKey, int] = {}
        self._rolling: set[ServiceKey] = set()

    def note_first(self, key: ServiceKey, *, generation: int, operator_change: bool) -> None:
        """Notes, at the first reconciliation of a service, whether the operator changes it.

        Args:
            key: The service.
            generation: The generation of its spec.
            operator_change: Whether workloads would change although the spec did not.
        """
        if key in self._noted:
            return
        self._noted.add(key)
        if operator_change:
            self._waiting[key] = generation

    def is_waiting(self, key: ServiceKey) -> bool:
        """Whether the service waits for a slot."""
        return key in self._waiting

    def may_start(self, key: ServiceKey, *, generation: int, ready: bool) -> bool:
        """Whether the changes may be written now; takes a slot if one is needed."""
        if key not in self._waiting:
            return True
        if self._waiting[key] == generation and ready:
            if key not in self._rolling and len(self._rolling) >= self.limit:
                return False
            self._rolling.add(key)
        del self._waiting[key]
        return True

    def restore(self, key: ServiceKey) -> None:
        """Restores the slot that a service had in an earlier process."""
        self._rolling.add(key)

    def has_slot(self, key: ServiceKey) -> bool:
        """Whether the service has a slot."""
        return key in self._rolling

    def finish(self, key: ServiceKey) -> None:
        """Frees the slot of a service that is ready, suspended or deleted."""
        if key in self._rolling:
            self._rolling.discard(key)
            for next_key in list(self._waiting)[: self.limit - len(self._rolling)]:
                self._wake(next_key)

    def forget(self, key: ServiceKey) -> None:
        """Drops a deleted service."""
        self._noted.discard(key)
        self._waiting.pop(key, None)
        self.finish(key)

    @property
    def waiting(self) -> int:
        """The number of services that wait for a slot."""
        return len(self._waiting)
