"""A diagnosis, and how its signals are shown."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.observability import bounds
from fastapi_operator.tuning import figures


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong, and what to do.

    Attributes:
        rule: The rule's name.
        diagnosis: What is wrong, in a sentence.
        change: What to do.
        signals: What was seen, by its name, with its unit.
        effect: Requests that wait for it or are lost by it, on average.
        pod: The pod that shows it most; empty where it is not about one.
        field: The field of the service to change; empty where the code is to be changed.
        value: The value to give it, where one follows.
    """

    rule: str
    diagnosis: str
    change: str
    signals: Mapping[str, str]
    effect: float
    pod: str = ""
    field: str = ""
    value: Any = None

    def record(self) -> dict[str, Any]:
        """The diagnosis in the form that ``-o json`` promises."""
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


def milliseconds(seconds: float) -> str:
    """A duration."""
    return f"{1000 * seconds:.0f} ms"


def percent(share: float) -> str:
    """A share."""
    return f"{100 * share:.0f} %"


def cores(number: float) -> str:
    """An amount of CPU."""
    return f"{number:.2f} cores"


def more(number: float) -> int:
    """What a rule proposes in place of a number that is too small."""
    return math.ceil(bounds.STEP_FACTOR * number)


def more_memory(limit: int) -> str:
    """The same of a memory limit, in the steps of the plan."""
    unit = figures.MEMORY_ROUNDING_BYTES
    return quantity.format_bytes(math.ceil(bounds.STEP_FACTOR * limit / unit) * unit)
