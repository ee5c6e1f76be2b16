"""The printed form of a plan, with its footprint and cost."""

from collections.abc import Iterable, Iterator
from typing import Any

import typer

from fastapi_operator import quantity
from fastapi_operator.cli import console, table
from fastapi_operator.cli.table import Cell, Row
from fastapi_operator.resources.footprint import Footprint
from fastapi_operator.resources.prices import Prices
from fastapi_operator.tuning.budget import ConnectionBudget
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.explain import Change, changes
from fastapi_operator.tuning.plan import Plan
from fastapi_operator.views.explanation import DISRUPTIONS, PART_REMOVED, SECTIONS, Explanation


def print_explanation(explanation: Explanation, prices: Prices | None) -> None:
    """Prints every number, the connection budget and the footprint."""
    plan = explanation.plan
    console.print_line(explanation.service, console.BOLD)
    console.print_line()
    for line in table.format_lines(("number", "value", "disruption", "reason"), _rows(plan)):
        console.print_line(line)
    console.print_line()
    console.print_line("Disruption (the effect of a change on running processes)", console.BOLD)
    for word, meaning in DISRUPTIONS.items():
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
        change.after.reason if change.after else PART_REMOVED,
    ]


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


def _print_footprint(sizes: Iterable[Footprint], prices: Prices | None) -> None:
    for label, size in zip(("minimum", "maximum"), sizes, strict=True):
        cost = f", {prices.month(size):,.2f} {prices.currency} per month" if prices else ""
        console.print_line(
            f"  {label}: {size.pods} pods, {quantity.format_cpu(size.cpu_millicores)} CPU, "
            f"{size.memory_bytes / 2**30:.1f} GiB memory, "
            f"{size.storage_bytes / 2**30:.0f} GiB storage{cost}"
        )
