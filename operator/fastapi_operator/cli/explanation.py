"""The printed and the JSON form of a plan, with its footprint and cost."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import typer

from fastapi_operator import quantity
from fastapi_operator.cli import console, table
from fastapi_operator.cli.table import Cell, Row
from fastapi_operator.parts import PARTS
from fastapi_operator.problems import Problem
from fastapi_operator.resources.footprint import Footprint
from fastapi_operator.resources.prices import Prices
from fastapi_operator.tuning.budget import ConnectionBudget
from fastapi_operator.tuning.decision import Decision, Source
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
_DISRUPTIONS = (
    ("none", "no effect on running processes"),
    ("reload", "the server reads its configuration again and keeps its connections"),
    ("rollout", "new pods start before old pods stop; the service stays available"),
    ("restart", "the server stops and starts; it is unavailable for seconds"),
)
_PART_REMOVED = "the part is removed"


@dataclass(frozen=True)
class Explanation:
    """A service's plan with its footprint and its problems.

    Attributes:
        service: Name of the service.
        plan: The derived numbers.
        footprint: The resources with the fewest and with the most app pods.
        problems: The problems of every stage.
    """

    service: str
    plan: Plan
    footprint: tuple[Footprint, Footprint]
    problems: tuple[Problem, ...]

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


def print_explanation(explanation: Explanation, prices: Prices | None) -> None:
    """Prints every number, the connection budget and the footprint."""
    plan = explanation.plan
    console.print_line(explanation.service, console.BOLD)
    console.print_line()
    for line in table.format_lines(("number", "value", "disruption", "reason"), _rows(plan)):
        console.print_line(line)
    console.print_line()
    console.print_line("Disruption (the effect of a change on running processes)", console.BOLD)
    for word, meaning in _DISRUPTIONS:
        console.print_line(f"  {word}: {meaning}")
    if plan.budget is not None:
        console.print_line()
        _print_budget(plan.budget)
    console.print_line()
    console.print_line("Footprint (the resources that the pods request)", console.BOLD)
    _print_footprint(explanation.footprint, prices)
    console.print_problems(explanation.service, explanation.problems)


def print_what_if(current: Explanation, changed: Explanation, prices: Prices | None) -> None:
    """Prints only the numbers that differ."""
    found = tuple(changes(current.plan, changed.plan))
    numbers = "1 number" if len(found) == 1 else f"{len(found) or 'no'} numbers"
    console.print_line(f"{current.service}: {numbers} would change", console.BOLD)
    if found:
        console.print_line()
        headings = ("number", "now", "then", "disruption", "reason")
        for line in table.format_lines(headings, (_change_row(change) for change in found)):
            console.print_line(line)
    if changed.plan.budget is not None and changed.plan.budget != current.plan.budget:
        console.print_line()
        _print_budget(changed.plan.budget)
    if current.footprint != changed.footprint:
        for moment, explanation in (("now", current), ("then", changed)):
            console.print_line()
            console.print_line(f"Footprint {moment}", console.BOLD)
            _print_footprint(explanation.footprint, prices)
    console.print_problems(changed.service, changed.problems)


def _rows(plan: Plan) -> Iterator[Row]:
    section = ""
    for decision in plan.decisions():
        part, _, number = decision.name.rpartition(".")
        if part != section:
            if section:
                yield [Cell("")]
            section = part
            meaning = SECTIONS[part.partition(".")[0]]
            yield [Cell(f"{part}: {meaning}", console.HEADING)]
        yield [
            f"  {number}",
            Cell(decision.display(), _value_style(decision)),
            decision.disruption.value,
            decision.reason,
        ]


def _value_style(decision: Decision[Any]) -> console.Style:
    """Returns bold, and a colour too if the value is not derived."""
    return {"bold": True, **({} if decision.source is Source.DERIVED else {"fg": "magenta"})}


def _change_row(change: Change) -> Row:
    return [
        change.decision.name,
        change.before.display() if change.before else "-",
        Cell(change.after.display() if change.after else "-", console.BOLD),
        change.decision.disruption.value,
        change.after.reason if change.after else _PART_REMOVED,
    ]


def _change_record(change: Change) -> dict[str, Any]:
    return {
        "name": change.decision.name,
        "before": change.before.value if change.before else None,
        "after": change.after.value if change.after else None,
        "unit": change.decision.unit,
        "reason": change.after.reason if change.after else _PART_REMOVED,
        "disruption": change.decision.disruption.value,
    }


def _print_budget(budget: ConnectionBudget) -> None:
    console.print_line("Connection budget (with every process at its peak)", console.BOLD)
    for claim in budget.claims:
        console.print_line(
            f"  {claim.name}: {claim.processes} processes, {claim.per_process} connections each"
        )
    for step in budget.steps():
        style = {"fg": "green"} if step.slack >= 0 else console.ERROR
        left = typer.style(f"{step.slack} left", **style)
        held = f" (enforced by {step.enforced_by})"
        console.print_line(f"  {step.name}: {step.demand} of {step.capacity}, {left}{held}")


def _footprint_record(size: Footprint, prices: Prices | None) -> dict[str, Any]:
    if prices is None:
        return dict(size.record())
    return {**size.record(), "monthlyCost": prices.month(size), "currency": prices.currency}


def _print_footprint(sizes: Iterable[Footprint], prices: Prices | None) -> None:
    for label, size in zip(("minimum", "maximum"), sizes, strict=True):
        cost = f", {prices.month(size):,.2f} {prices.currency} per month" if prices else ""
        console.print_line(
            f"  {label}: {size.pods} pods, {quantity.format_cpu(size.cpu_millicores)} CPU, "
            f"{size.memory_bytes / 2**30:.1f} GiB memory, "
            f"{size.storage_bytes / 2**30:.0f} GiB storage{cost}"
        )
