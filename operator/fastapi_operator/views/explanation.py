"""A service's plan with its footprint and problems, and its form for programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator.parts import PARTS, Part
from fastapi_operator.problems import Problem
from fastapi_operator.resources.footprint import Footprint, Range, total
from fastapi_operator.resources.prices import Prices
from fastapi_operator.tuning.explain import (
    Change,
    budget_record,
    changes,
    decision_record,
    problem_record,
)
from fastapi_operator.tuning.plan import Plan

# The explanation of each section of the plan, for readers who are new to its terms.
SECTIONS = {section: text for record in PARTS.values() for section, text in record.sections.items()}
DISRUPTIONS = {
    "none": "no effect on running processes",
    "reload": "the server reads its configuration again and keeps its connections",
    "rollout": "new pods start before old pods stop; the service stays available",
    "restart": "the server stops and starts; it is unavailable for seconds",
}
PART_REMOVED = "the part is removed"


@dataclass(frozen=True)
class Explanation:
    """A service's plan with its footprint and its problems.

    Attributes:
        service: Name of the service.
        plan: The derived numbers.
        parts: The footprint of each part.
        problems: The problems of every stage.
    """

    service: str
    plan: Plan
    parts: Mapping[Part, Range]
    problems: tuple[Problem, ...]

    @property
    def footprint(self) -> Range:
        """The resources with the fewest and with the most app pods."""
        return total(self.parts.values())

    def record(self, prices: Prices | None) -> dict[str, Any]:
        """Returns the record of ``explain -o json``."""
        return {
            "service": self.service,
            "decisions": [decision_record(decision) for decision in self.plan.decisions()],
            "connectionBudget": budget_record(self.plan.budget),
            "footprint": self._footprint_record(prices),
            "problems": [problem_record(problem) for problem in self.problems],
        }

    def what_if_record(self, changed: "Explanation", prices: Prices | None) -> dict[str, Any]:
        """Returns the differences to another explanation of the service."""
        return {
            "service": self.service,
            "changes": [_change_record(change) for change in changes(self.plan, changed.plan)],
            "connectionBudget": {
                "before": budget_record(self.plan.budget),
                "after": budget_record(changed.plan.budget),
            },
            "footprint": {
                "before": self._footprint_record(prices),
                "after": changed._footprint_record(prices),
            },
            "problems": [problem_record(problem) for problem in changed.problems],
        }

    def _footprint_record(self, prices: Prices | None) -> dict[str, Any]:
        least, most = (_footprint_record(size, prices) for size in self.footprint)
        return {"minimum": least, "maximum": most}


def _change_record(change: Change) -> dict[str, Any]:
    return {
        "name": change.decision.name,
        "before": change.before.value if change.before else None,
        "after": change.after.value if change.after else None,
        "unit": change.decision.unit,
        "reason": change.after.reason if change.after else PART_REMOVED,
        "disruption": change.decision.disruption.value,
    }


def _footprint_record(size: Footprint, prices: Prices | None) -> dict[str, Any]:
    if prices is None:
        return dict(size.record())
    return {**size.record(), "monthlyCost": prices.month(size), "currency": prices.currency}
