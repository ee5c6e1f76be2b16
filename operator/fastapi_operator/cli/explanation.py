"""A plan put into words, or into data, together with what it takes and what that costs."""

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

# What a section of the plan holds, for readers who see its name for the first time.
SECTIONS = {section: text for record in PARTS.values() for section, text in record.sections.items()}
_DISRUPTIONS = (
    ("none", "nobody notices"),
    ("reload", "the server reads its configuration again and keeps its connections"),
    ("rollout", "new pods start before old ones stop; the service goes on"),
    ("restart", "the server stops and starts; what it serves is away for seconds"),
)


@dataclass(frozen=True)
class Explanation:
    """What there is to say of a service.

    Attributes:
        service: Its name.
        plan: Its numbers.
        footprint: What it takes with the fewest and with the most app pods.
        problems: Those of every stage.
    """

    service: str
    plan: Plan
    footprint: tuple[Footprint, Footprint]
    problems: tuple[Problem, ...]

    def record(self, prices: Prices | None) -> dict[str, Any]:
        """All of it, in the form that ``-o json`` promises."""
        return {
            "service": self.service,
            "decisions": [decision_record(decision) for decision in self.plan.decisions()],
            "connectionBudget": budget_record(self.plan.budget),
            "footprint": self._footprint_record(prices),
            "problems": [problem_record(problem) for problem in self.problems],
        }

    def what_if_record(self, then: "Explanation", prices: Prices | None) -> dict[str, Any]:
        """What is different in another explanation of the service."""
        return {
            "service": self.service,
            "changes": [_change_record(change) for change in changes(self.plan, then.plan)],
            "connectionBudget": {
                "before": budget_record(self.plan.budget),
                "after": budget_record(then.plan.budget),
            },
            "footprint": {
                "before": self._footprint_record(prices),
                "after": then._footprint_record(prices),
            },
            "problems": [problem_record(problem) for problem in then.problems],
        }

    def _footprint_record(self, prices: Prices | None) -> dict[str, Any]:
        least, most = (_footprint_record(size, prices) for size in self.footprint)
        return {"minimum": least, "maximum": most}


def print_explanation(found: Explanation, prices: Prices | None) -> None:
    """Prints all of it for people."""
    console.say(found.service, console.BOLD)
    console.say()
    for line in table.lines(("number", "value", "a change costs", "why"), _rows(found.plan)):
        console.say(line)
    console.say()
    console.say("What a change costs", console.BOLD)
    for word, meaning in _DISRUPTIONS:
        console.say(f"  {word}: {meaning}")
    if found.plan.budget is not None:
        console.say()
        _print_budget(found.plan.budget)
    console.say()
    console.say("Footprint (what the pods ask the cluster to keep for them)", console.BOLD)
    _print_footprint(found.footprint, prices)
    console.problems(found.service, found.problems)


def print_what_if(now: Explanation, then: Explanation, prices: Prices | None) -> None:
    """Prints only what would be different, for people."""
    found = tuple(changes(now.plan, then.plan))
    numbers = "1 number" if len(found) == 1 else f"{len(found) or 'no'} numbers"
    console.say(f"{now.service}: {numbers} would change", console.BOLD)
    if found:
        console.say()
        rows = (_change_row(change) for change in found)
        for line in table.lines(("number", "now", "then", "a change costs", "why"), rows):
            console.say(line)
    if then.plan.budget is not None and then.plan.budget != now.plan.budget:
        console.say()
        _print_budget(then.plan.budget)
    if now.footprint != then.footprint:
        for moment, explanation in (("now", now), ("then", then)):
            console.say()
            console.say(f"Footprint {moment}", console.BOLD)
            _print_footprint(explanation.footprint, prices)
    console.problems(then.service, then.problems)


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
            Cell(decision.display(), _weight(decision)),
            decision.disruption.value,
            decision.reason,
        ]


def _weight(decision: Decision[Any]) -> console.Style:
    """Bold what was derived; what somebody set stands out among it."""
    return {"bold": True, **({} if decision.source is Source.DERIVED else {"fg": "magenta"})}


def _change_row(change: Change) -> Row:
    return [
        change.decision.name,
        change.before.display() if change.before else "-",
        Cell(change.after.display() if change.after else "-", console.BOLD),
        change.decision.disruption.value,
        change.after.reason if change.after else "the part is gone",
    ]


def _change_record(change: Change) -> dict[str, Any]:
    return {
        "name": change.decision.name,
        "before": change.before.value if change.before else None,
        "after": change.after.value if change.after else None,
        "unit": change.decision.unit,
        "reason": change.after.reason if change.after else "the part is gone",
        "disruption": change.decision.disruption.value,
    }


def _print_budget(budget: ConnectionBudget) -> None:
    console.say("Connection budget (when everything runs at its peak)", console.BOLD)
    for claim in budget.claims:
        console.say(
            f"  {claim.name}: {claim.processes} processes, {claim.per_process} connections each"
        )
    for step in budget.steps():
        style = {"fg": "green"} if step.slack >= 0 else console.ERROR
        left = typer.style(f"{step.slack} left", **style)
        held = f" (held by {step.enforced_by})"
        console.say(f"  {step.name}: {step.demand} of {step.capacity}, {left}{held}")


def _footprint_record(size: Footprint, prices: Prices | None) -> dict[str, Any]:
    if prices is None:
        return dict(size.record())
    return {**size.record(), "monthlyCost": prices.month(size), "currency": prices.currency}


def _print_footprint(sizes: Iterable[Footprint], prices: Prices | None) -> None:
    for label, size in zip(("least", "most"), sizes, strict=True):
        cost = f", {prices.month(size):,.2f} {prices.currency} a month" if prices else ""
        console.say(
            f"  {label}: {size.pods} pods, {quantity.format_cpu(size.cpu_millicores)} CPU, "
            f"{size.memory_bytes / 2**30:.1f} GiB memory, "
            f"{size.storage_bytes / 2**30:.0f} GiB storage{cost}"
        )
