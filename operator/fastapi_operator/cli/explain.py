"""``explain``: each number of a service with its reason."""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.table import Table
from rich.text import Text

from fastapi_operator import quantity
from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.cli import console, inputs
from fastapi_operator.facts import Facts
from fastapi_operator.resources.build import build
from fastapi_operator.resources.footprint import Footprint, footprints
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.explain import (
    Change,
    budget_record,
    changes,
    decision_record,
    problem_record,
)
from fastapi_operator.tuning.plan import Plan


class Output(StrEnum):
    """How the explanation is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def explain(  # noqa: PLR0917 (typer reads them as options)
    file: inputs.FileOption,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="A table for people, or data for machines.")
    ] = Output.TABLE,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="PATH=VALUE",
            help="Show only what another value of the spec would change, and why: "
            "--what-if resources.limits.cpu=2. May be repeated.",
        ),
    ] = None,
    facts: inputs.FactsOption = None,
    settings: inputs.SettingsOption = None,
    profiles: inputs.ProfilesOption = None,
) -> None:
    """Show every derived number with its reason, the connection budget and the footprint."""
    known, ours = inputs.read_facts(facts), inputs.read_settings(settings, profiles)
    records = []
    for body in inputs.read_bodies(file):
        service, plan, footprint = _planned(body, ours, known)
        name = service.metadata.name
        if what_if:
            _, other, other_footprint = _planned(_with_values(body, what_if), ours, known)
            found = tuple(changes(plan, other))
            if output is Output.TABLE:
                _print_changes(name, found, footprint, other_footprint)
                console.problems(name, other.problems)
            records.append(
                {
                    "service": name,
                    "changes": [_change_record(change) for change in found],
                    "footprint": _footprint_record(other_footprint),
                    "problems": [problem_record(problem) for problem in other.problems],
                }
            )
        else:
            if output is Output.TABLE:
                _print_plan(name, plan, footprint)
                console.problems(name, plan.problems)
            records.append(_record(name, plan, footprint))
    if output is not Output.TABLE:
        data = records[0] if len(records) == 1 else records
        text = (
            json.dumps(data, indent=2, ensure_ascii=False)
            if output is Output.JSON
            else yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip()
        )
        typer.echo(text)


Footprints = tuple[Footprint, Footprint]


def _planned(
    body: dict[str, Any], settings: Settings, facts: Facts
) -> tuple[FastAPIService, Plan, Footprints]:
    service, problems = parse_service(body)
    if service is None:
        console.problems(inputs.name_of(body), problems)
        raise typer.Exit(1)
    plan = derive(service, settings, facts)
    return service, plan, footprints(build(service, plan, settings, facts), plan)


def _with_values(body: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of the service with other values, as ``--what-if`` gives them."""
    copy: dict[str, Any] = json.loads(json.dumps(body))
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            inputs.stop(f"--what-if {assignment!r}: write PATH=VALUE, such as server.threads=80")
        *parents, last = path.removeprefix("spec.").split(".")
        section = copy["spec"]
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                inputs.stop(f"--what-if {assignment!r}: {parent} is not a section")
        section[last] = yaml.safe_load(text)
    return copy


def _record(name: str, plan: Plan, footprint: Footprints) -> dict[str, Any]:
    return {
        "service": name,
        "decisions": [decision_record(decision) for decision in plan.decisions()],
        "connectionBudget": budget_record(plan.budget),
        "footprint": _footprint_record(footprint),
        "problems": [problem_record(problem) for problem in plan.problems],
    }


def _footprint_record(footprint: Footprints) -> dict[str, Any]:
    minimum, maximum = footprint
    return {"minimum": minimum.record(), "maximum": maximum.record()}


def _change_record(change: Change) -> dict[str, Any]:
    return {
        "name": change.decision.name,
        "before": change.before.value if change.before else None,
        "after": change.after.value if change.after else None,
        "reason": change.after.reason if change.after else "the part is gone",
        "disruption": change.decision.disruption.value,
    }


def _print_plan(name: str, plan: Plan, footprint: Footprints) -> None:
    console.output.print(Text(f"{name}\n", style="bold"))
    table = _table("number", "value", "why", "a change costs")
    section = ""
    for decision in plan.decisions():
        part, _, number = decision.name.partition(".")
        if part != section:
            section = part
            table.add_section()
            table.add_row(Text(part, style="bold cyan"))
        table.add_row(f"  {number}", _value(decision), decision.reason, decision.disruption.value)
    console.output.print(table)
    if plan.budget is not None:
        console.output.print(Text("\nConnection budget", style="bold"))
        for claim in plan.budget.claims:
            console.output.print(
                f"  {claim.name}: {claim.processes} processes at peak (a rollout's surge "
                f"included), {claim.per_process} connections each"
            )
        for step in plan.budget.steps():
            style = "green" if step.slack >= 0 else "bold red"
            console.output.print(
                Text.assemble(
                    f"  {step.name}: {step.demand} of {step.capacity}, ",
                    (f"{step.slack} left", style),
                    f" ({step.enforced_by})",
                )
            )
    _print_footprint(footprint)


def _print_changes(
    name: str, found: tuple[Change, ...], before: Footprints, after: Footprints
) -> None:
    console.output.print(Text(f"{name}: {len(found)} numbers would change\n", style="bold"))
    if found:
        table = _table("number", "now", "then", "why", "a change costs")
        for change in found:
            table.add_row(
                change.decision.name,
                change.before.display() if change.before else "",
                change.after.display() if change.after else "",
                change.after.reason if change.after else "the part is gone",
                change.decision.disruption.value,
            )
        console.output.print(table)
    if before != after:
        console.output.print("\nnow")
        _print_footprint(before)
        console.output.print("\nthen")
        _print_footprint(after)


def _print_footprint(footprint: Footprints) -> None:
    console.output.print(Text("\nFootprint (requests)", style="bold"))
    for label, size in zip(("least", "most"), footprint, strict=True):
        console.output.print(
            f"  {label}: {size.pods} pods, {quantity.format_cpu(size.cpu_millicores)} CPU, "
            f"{size.memory_bytes / 2**30:.1f} GiB memory, "
            f"{size.storage_bytes / 2**30:.0f} GiB storage"
        )


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        # A reason may be long; the numbers stay on one line.
        table.add_column(heading, no_wrap=heading != "why", overflow="fold", header_style="dim")
    return table


def _value(decision: Decision[Any]) -> Text:
    style = "bold" if decision.source.value == "derived" else "bold magenta"
    return Text(decision.display(), style=style)
