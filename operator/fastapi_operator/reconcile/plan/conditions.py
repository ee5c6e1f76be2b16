"""Conditions as kstatus defines them, set only by the mark functions.

``Reconciling`` is True while changes are in progress. ``Stalled`` is True if no progress is
possible until a person changes something. ``Ready`` is True only if all parts are ready at the
observed generation. A transition time changes only with its status.
"""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi_operator.api.status import Condition
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.observed import Health

State = Literal["True", "False", "Unknown"]
OVERLOADED = "Overloaded"


class Conditions:
    """The conditions of one status."""

    def __init__(self, *, generation: int, now: str, before: Mapping[str, Any]) -> None:
        """Starts without conditions.

        Args:
            generation: The generation of the spec that was reconciled.
            now: The time of a transition, RFC 3339.
            before: The stored status.
        """
        self._generation = generation
        self._now = now
        self._before = {
            condition.get("type"): condition for condition in before.get("conditions") or ()
        }
        self._marked: dict[str, Condition] = {}

    def mark_part_ready(self, part: Part, message: str = "") -> None:
        """Marks a part as ready; the message is additional information."""
        self._mark(part.condition, "True", "Ready", message)

    def mark_part_not_ready(self, part: Part, health: Health) -> None:
        """Marks a part as not ready, with the reason."""
        self._mark(part.condition, "False", health.reason or "NotReady", health.message)

    def mark_ready(self, progress: str = "", message: str = "") -> None:
        """Marks the service as ready: all parts are ready and all changes are applied.

        Args:
            progress: The reason why more pods start although enough serve; empty if none start.
            message: Their number.
        """
        self._mark("Ready", "True", "Ready", "all parts are ready")
        if progress:
            self._mark("Reconciling", "True", progress, message)
        else:
            self._mark("Reconciling", "False", "Done", "")
        self._mark("Stalled", "False", "NotStalled", "")

    def mark_reconciling(self, reason: str, message: str) -> None:
        """Marks the service as reconciling: it makes progress without help."""
        self._mark("Ready", "False", reason, message)
        self._mark("Reconciling", "True", reason, message)
        self._mark("Stalled", "False", "NotStalled", "")

    def mark_stalled(self, reason: str, message: str) -> None:
        """Marks the service as stalled: a person must change something."""
        self._mark("Ready", "False", reason, message)
        self._mark("Reconciling", "False", reason, "")
        self._mark("Stalled", "True", reason, message)

    def mark_stopped(self, reason: str, message: str) -> None:
        """Marks that the newest spec is not released until a person decides; Ready stays."""
        if self._marked["Ready"].status == "True":
            self._mark("Reconciling", "False", reason, "")
        self._mark("Stalled", "True", reason, message)

    def mark_suspended(self, ready: bool, *, released: bool) -> None:
        """Marks the service as suspended by its spec.

        Args:
            ready: Whether all parts are ready.
            released: Whether they are of the newest spec.
        """
        message = "spec.suspend is true: reconciliation is suspended; running pods are unaffected"
        if not released:
            ready = False
            message += "; the newest spec is not applied until the service is resumed"
        self._mark("Ready", "True" if ready else "False", "Suspended", message)
        self._mark("Reconciling", "False", "Suspended", message)
        self._mark("Stalled", "False", "NotStalled", "")

    def mark_deleting(self, message: str) -> None:
        """Marks the service as being deleted: its objects are deleted and not repaired."""
        self._mark("Ready", "False", "Deleting", message)
        self._mark("Reconciling", "True", "Deleting", message)
        self._mark("Stalled", "False", "NotStalled", "")

    def mark_overloaded(self, reason: str, message: str) -> None:
        """Marks that requests are rejected because the pods cannot serve all; Ready stays."""
        self._mark(OVERLOADED, "True", reason, message)

    def mark_not_overloaded(self, message: str) -> None:
        """Marks that at most few requests are rejected."""
        self._mark(OVERLOADED, "False", "FewRejected", message)

    def mark_overload_unknown(self, message: str) -> None:
        """Marks that it is no longer known whether requests are rejected."""
        self._mark(OVERLOADED, "Unknown", "NotMeasured", message)

    def keep(self, kind: str) -> None:
        """Keeps a stored condition, if there is one, until a newer fact replaces it."""
        if self.is_stored(kind):
            before = self._before[kind]
            self._mark(kind, before["status"], before["reason"], before["message"])

    def is_stored(self, kind: str) -> bool:
        """Whether the stored status has a condition."""
        return {"status", "reason", "message"} <= set(self._before.get(kind, {}))

    @property
    def ready(self) -> bool:
        """Whether the service was marked ready."""
        return self._marked["Ready"].status == "True"

    def all(self) -> tuple[Condition, ...]:
        """Returns the conditions in a fixed order: the summary first, then each part."""
        return tuple(self._marked.values())

    def _mark(self, kind: str, status: State, reason: str, message: str) -> None:
        before = self._before.get(kind, {})
        since = str(before.get("lastTransitionTime") or "")
        # A time in the future was written by another client. RFC 3339 in UTC compares as text.
        same = before.get("status") == status and "" < since <= self._now
        self._marked[kind] = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            observed_generation=self._generation,
            last_transition_time=since if same else self._now,
        )
