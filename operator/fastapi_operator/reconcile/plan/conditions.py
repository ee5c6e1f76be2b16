"""Conditions after kstatus, set by named mark functions alone.

``Reconciling`` is True while work goes on, ``Stalled`` is True where nothing moves before somebody
changes something, and ``Ready`` is True only when every part answers at the generation that is
observed. A transition time moves only with its status.
"""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi_operator.api.status import Condition
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.observed import Health

State = Literal["True", "False", "Unknown"]


class Conditions:
    """The conditions of one answer."""

    def __init__(self, *, generation: int, now: str, before: Mapping[str, Any]) -> None:
        """Begins with none.

        Args:
            generation: The generation of the spec that is judged.
            now: The time of a transition, RFC 3339.
            before: The status that is stored now.
        """
        self._generation = generation
        self._now = now
        self._before = {
            condition.get("type"): condition for condition in before.get("conditions") or ()
        }
        self._marked: dict[str, Condition] = {}

    def mark_part_ready(self, part: Part, message: str = "") -> None:
        """The part answers, and what there is to say of it all the same."""
        self._mark(part.condition, "True", "Ready", message)

    def mark_part_not_ready(self, part: Part, health: Health) -> None:
        """The part does not answer, and why."""
        self._mark(part.condition, "False", health.reason or "NotReady", health.message)

    def mark_ready(self) -> None:
        """Every part answers, and nothing is left to do."""
        self._mark("Ready", "True", "Ready", "every part answers")
        self._mark("Reconciling", "False", "Done", "")
        self._mark("Stalled", "False", "NotStalled", "")

    def mark_reconciling(self, reason: str, message: str) -> None:
        """Work goes on; it ends without anybody's help."""
        self._mark("Ready", "False", reason, message)
        self._mark("Reconciling", "True", reason, message)
        self._mark("Stalled", "False", "NotStalled", "")

    def mark_stalled(self, reason: str, message: str) -> None:
        """Nothing moves before somebody changes something."""
        self._mark("Ready", "False", reason, message)
        self._mark("Reconciling", "False", reason, "")
        self._mark("Stalled", "True", reason, message)

    def mark_suspended(self, ready: bool) -> None:
        """Nothing is written on request; the pods go on."""
        message = "spec.suspend is true: nothing is written, running pods go on"
        self._mark("Ready", "True" if ready else "False", "Suspended", message)
        self._mark("Reconciling", "False", "Suspended", message)
        self._mark("Stalled", "False", "NotStalled", "")

    @property
    def ready(self) -> bool:
        """Whether the service was marked ready."""
        return self._marked["Ready"].status == "True"

    def all(self) -> tuple[Condition, ...]:
        """The conditions in a steady order: the summary first, then part by part."""
        return tuple(self._marked.values())

    def _mark(self, kind: str, status: State, reason: str, message: str) -> None:
        before = self._before.get(kind, {})
        same = before.get("status") == status and before.get("lastTransitionTime")
        self._marked[kind] = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            observed_generation=self._generation,
            last_transition_time=str(before["lastTransitionTime"]) if same else self._now,
        )
