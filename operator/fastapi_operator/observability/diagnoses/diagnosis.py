"""A diagnosis, and the values that it proposes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.observability import bounds
from fastapi_operator.tuning import figures


@dataclass(frozen=True)
class Diagnosis:
    """One cause of slow or failed requests, and its remedy.

    Attributes:
        rule: The rule's name.
        diagnosis: The cause, in a sentence.
        change: The remedy.
        signals: The measured signals with their units, by name.
        effect: The mean number of requests that wait for the cause or fail because of it.
        pod: The pod that is affected most; empty if the cause does not concern a single pod.
        field: The field of the service to change; empty if the code must change.
        value: The proposed value of the field, if there is one.
        is_symptom: Whether other diagnoses can be its cause.
    """

    rule: str
    diagnosis: str
    change: str
    signals: Mapping[str, str]
    effect: float
    pod: str = ""
    field: str = ""
    value: Any = None
    is_symptom: bool = False

    def record(self) -> dict[str, Any]:
        """The diagnosis as ``-o json`` prints it."""
        return {
            "rule": self.rule,
            "diagnosis": self.diagnosis,
            "change": self.change,
            "field": self.field or None,
            "value": self.value,
            "pod": self.pod or None,
            "signals": dict(self.signals),
            "effect": round(self.effect, 3),
        }


def raised(number: float) -> int:
    """The value that a rule proposes instead of a number that is too small."""
    return math.ceil(bounds.STEP_FACTOR * number)


def raised_memory(limit: int) -> str:
    """The same for a memory limit, rounded as in the plan."""
    unit = figures.MEMORY_ROUNDING_BYTES
    return quantity.format_bytes(math.ceil(bounds.STEP_FACTOR * limit / unit) * unit)
