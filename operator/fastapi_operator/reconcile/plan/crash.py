"""The status if none can be built: after an error of the operator, and during a deletion."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi_operator.reconcile.plan.conditions import Conditions

MESSAGE_MAX_LENGTH = 600


def explain_crash(error: BaseException, subject: str) -> str:
    """Returns the message for an unexpected error.

    Args:
        error: The error.
        subject: The object or field that was processed, for example ``spec``.
    """
    text = f"{type(error).__name__}: {error}"
    if len(text) > MESSAGE_MAX_LENGTH:
        text = text[: MESSAGE_MAX_LENGTH - 1] + "…"
    return (
        f"{subject}: the operator failed with {text}; undo the last change of the spec, and report "
        "this with the operator's log"
    )


def status_after_crash(
    before: Mapping[str, Any], *, generation: int, now: str, message: str
) -> dict[str, Any]:
    """Returns the stored status with the error in its summary conditions.

    It is derived from the stored status alone, because the error may be in the code that builds a
    status. The conditions of parts stay, with the generation for which they were observed.
    """
    conditions = Conditions(generation=generation, now=now, before=before)
    conditions.mark_stalled("OperatorError", message)
    return _with_summary(before, conditions, generation)


def status_of_deletion(
    before: Mapping[str, Any], *, generation: int, now: str, finalizers: Sequence[str]
) -> dict[str, Any]:
    """Returns the stored status with the deletion in its summary conditions."""
    conditions = Conditions(generation=generation, now=now, before=before)
    conditions.mark_deleting(
        "the service is being deleted, and its objects are not repaired; it waits for the "
        f"finalizers {', '.join(finalizers)}"
    )
    return _with_summary(before, conditions, generation)


def _with_summary(
    before: Mapping[str, Any], conditions: Conditions, generation: int
) -> dict[str, Any]:
    summary = [item.model_dump(by_alias=True) for item in conditions.all()]
    types = {item["type"] for item in summary}
    parts = [item for item in before.get("conditions") or () if item.get("type") not in types]
    return {**before, "observedGeneration": generation, "conditions": [*summary, *parts]}
