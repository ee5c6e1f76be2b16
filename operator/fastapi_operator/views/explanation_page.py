"""``explain -o html``: one or several explanations side by side, as a page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem
from fastapi_operator.resources.footprint import Footprint, Range
from fastapi_operator.resources.prices import Prices
from fastapi_operator.tuning.budget import ConnectionBudget
from fastapi_operator.tuning.decision import Decision, Source, display
from fastapi_operator.views import charts, funnel, ladders, page
from fastapi_operator.views.charts import Bar, Bars, Segment
from fastapi_operator.views.explanation import DISRUPTIONS, SECTIONS, Explanation

# The colour of each part, in the order of the bars.
_PARTS = (
    Part.APP,
    Part.BACKGROUND,
    Part.PROXY,
    Part.POOLER,
    Part.DATABASE,
    Part.CACHE,
    Part.QUEUE,
    Part.BACKUP,
    Part.CANARY,
)


@dataclass(frozen=True)
class Column:
    """An explanation and the heading under which it is shown."""

    heading: str
    explanation: Explanation


@dataclass(frozen=True)
class _Tile:
    """A number at the top: its label and one value for each column."""

    label: str
    values: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class _Drawing:
    """A drawing for each column, and the tables with the same numbers."""

    key: str
    title: str
    lead: str
    figures: tuple[tuple[str, Markup], ...]
    rows: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class _Value:
    """A number in one column."""

    shown: str
    source: str
    reason: str
    inputs: tuple[tuple[str, str, str], ...]
    enforced_by: str
    disruption: str
    effect: str


@dataclass(frozen=True)
class _Number:
    """A number in all columns; None where a plan does not have it."""

    name: str
    key: str
    values: tuple[_Value | None, ...]

    @property
    def differs(self) -> bool:
        """Whether the columns have different values."""
        return len({value and value.shown for value in self.values}) > 1

    @property
    def last(self) -> _Value:
        """The value in the last column that has one."""
        return next(value for value in reversed(self.values) if value is not None)


@dataclass(frozen=True)
class _Section:
    """A section of the plan with its numbers."""

    name: str
    meaning: str
    numbers: tuple[_Number, ...]


def explanation_page(
    columns: Sequence[Column], prices: Prices | None, *, settings: str, what_if: Sequence[str] = ()
) -> str:
    """Returns the page.

    Args:
        columns: The explanations, at least one.
        prices: Prices of resources; None shows no cost.
        settings: The source of the settings.
        what_if: The assignments that the last column has in addition.
    """
    found = [column.explanation for column in columns]
    headings = tuple(column.heading for column in columns)
    sections = tuple(_sections(found))
    numbers = [number for section in sections for number in section.numbers]
    names = tuple(dict.fromkeys(item.service for item in found))
    return page.render(
        "explanation.html.j2",
        title=" and ".join(names),
        headings=headings,
        compared=len(columns) > 1,
        what_if=tuple(what_if),
        settings=settings,
        images=tuple(dict.fromkeys(item.plan.spec.image for item in found)),
        problems=tuple(_problems(columns)),
        tiles=tuple(_tiles(found, prices)),
        budget=_budget(columns),
        ladders=tuple(_ladders(columns)),
        footprint=_footprint(columns, prices),
        sections=sections,
        count=len(numbers),
        differing=sum(number.differs for number in numbers),
        priced=prices is not None,
        shade=funnel.shade,
    )


def _problems(columns: Sequence[Column]) -> Iterable[tuple[Problem, str]]:
    """Yields each problem once, with the columns that have it unless all do."""
    found = [column.explanation.problems for column in columns]
    for problem in dict.fromkeys(problem for problems in found for problem in problems):
        having = [
            column.heading for column, own in zip(columns, found, strict=True) if problem in own
        ]
        yield problem, "" if len(having) == len(columns) else ", ".join(having)


def _tiles(found: Sequence[Explanation], prices: Prices | None) -> Iterable[_Tile]:
    def tile(label: str, values: Iterable[str], note: str = "") -> _Tile:
        return _Tile(label, tuple(values), note)

    yield tile("App pods", (_pods(item) for item in found), "least to most")
    yield tile(
        "Requests in flight",
        (str(item.plan.server.max_in_flight.value) for item in found),
        "in each process, at most",
    )
    budgets = [item.plan.budget for item in found]
    if any(budgets):
        yield tile("Database connections", map(_use, budgets), "used at the peak")
    sizes = [item.footprint for item in found]
    yield tile("CPU", (_range(size, _cpu) for size in sizes), "requested, least to most")
    yield tile("Memory", (_range(size, _memory) for size in sizes), "requested, least to most")
    if prices is not None:
        yield tile(
            "Cost",
            (_range(size, lambda one: f"{prices.month(one):,.0f}") for size in sizes),
            f"{prices.currency} per month",
        )


def _pods(item: Explanation) -> str:
    scaling = item.plan.scaling
    least, most = scaling.min_replicas.value, scaling.max_replicas.value
    return str(most) if least == most else f"{least} – {most}"


def _use(budget: ConnectionBudget | None) -> str:
    if budget is None:
        return "–"
    last = [step for step in budget.steps() if "direct" not in step.name][-1]
    return f"{last.demand} of {last.capacity}"


def _range(size: Range, shown: Any) -> str:
    return _text_range(shown(size.least), shown(size.most))


def _cpu(size: Footprint) -> str:
    return f"{size.cpu_millicores / 1000:.3g}"


def _memory(size: Footprint) -> str:
    return f"{size.memory_bytes / 2**30:.1f} GiB"


def _budget(columns: Sequence[Column]) -> _Drawing | None:
    found = [
        (column.heading, column.explanation.plan.budget)
        for column in columns
        if column.explanation.plan.budget is not None
    ]
    if not found:
        return None
    stages = [funnel.stages(budget) for _, budget in found if budget is not None]
    maximum = max(stage.value for item in stages for stage in item)
    return _Drawing(
        key="budget",
        title="Connection budget",
        lead="Every process may open its whole pool at once. PgBouncer lets them share the few "
        "connections that the database can execute, and each bound holds even if an app ignores "
        "its environment.",
        figures=tuple(
            (
                heading,
                charts.funnel(
                    item, maximum=maximum, key=f"budget-{index}", title=f"Connections, {heading}"
                ),
            )
            for index, ((heading, _), item) in enumerate(zip(found, stages, strict=True))
        ),
        rows=tuple(found),
    )


def _ladders(columns: Sequence[Column]) -> Iterable[_Drawing]:
    found = [ladders.ladders(column.explanation.plan) for column in columns]
    for rows in zip(*found, strict=True):
        having = [
            (column.heading, row) for column, row in zip(columns, rows, strict=True) if row.steps
        ]
        if not having:
            continue
        first = rows[0]
        # The same scale in each column, so that the columns compare.
        maximum = max(row.maximum for _, row in having)
        yield _Drawing(
            key=first.key,
            title=first.title,
            lead=first.lead,
            figures=tuple(
                (
                    heading,
                    charts.ladder(
                        [step.rung for step in row.steps],
                        maximum=maximum,
                        key=f"{row.key}-{index}",
                        title=f"{row.title}, {heading}",
                    ),
                )
                for index, (heading, row) in enumerate(having)
            ),
            rows=tuple((heading, row.steps) for heading, row in having),
        )


# Name and text of each resource of a footprint, and its amount.
_RESOURCES: Sequence[tuple[str, str, Any]] = (
    ("CPU", "cpu_millicores", lambda value: f"{value / 1000:.3g}"),
    ("Memory", "memory_bytes", lambda value: f"{value / 2**30:.1f} GiB"),
    ("Storage", "storage_bytes", lambda value: f"{value / 2**30:.0f} GiB"),
    ("Pods", "pods", str),
)


def _footprint(columns: Sequence[Column], prices: Prices | None) -> _Drawing:
    maxima = {
        attribute: max(
            getattr(size, attribute) for column in columns for size in column.explanation.footprint
        )
        for _, attribute, _ in _RESOURCES
    }
    figures = []
    for index, column in enumerate(columns):
        groups = [
            Bars(
                title,
                tuple(
                    _bar(label, column.explanation, position, attribute, shown)
                    for position, label in enumerate(("least", "most"))
                ),
                maxima[attribute],
            )
            for title, attribute, shown in _RESOURCES
            if maxima[attribute]
        ]
        drawing = charts.stacked(
            groups, key=f"footprint-{index}", title=f"Requested resources, {column.heading}"
        )
        figures.append((column.heading, drawing))
    return _Drawing(
        key="footprint",
        title="Footprint",
        lead="The resources that the pods request with the fewest and with the most app pods, "
        "without Jobs and without the pods that a rollout adds.",
        figures=tuple(figures),
        rows=tuple(
            (column.heading, tuple(_footprint_rows(column.explanation, prices)))
            for column in columns
        ),
    )


def _bar(label: str, item: Explanation, position: int, attribute: str, shown: Any) -> Bar:
    segments = tuple(
        Segment(
            f"{part}: {shown(getattr(item.parts[part][position], attribute))}",
            getattr(item.parts[part][position], attribute),
            part_style(part),
        )
        for part in _in_order(item.parts)
    )
    whole = getattr(item.footprint[position], attribute)
    return Bar(label, tuple(one for one in segments if one.value), shown(whole))


def _in_order(parts: Mapping[Part, Range]) -> list[Part]:
    known = [part for part in _PARTS if part in parts]
    return [*known, *(part for part in parts if part not in _PARTS)]


def part_style(part: Part) -> str:
    """Returns the class with the colour of a part."""
    return f"fill-{_PARTS.index(part) + 1 if part in _PARTS else len(_PARTS)}"


def _footprint_rows(item: Explanation, prices: Prices | None) -> Iterable[Mapping[str, Any]]:
    for part in _in_order(item.parts):
        yield _footprint_row(str(part), part_style(part), item.parts[part], prices)
    yield _footprint_row("all", "", item.footprint, prices)


def _footprint_row(name: str, style: str, sizes: Range, prices: Prices | None) -> Mapping[str, Any]:
    cells = [
        _text_range(shown(getattr(sizes.least, attribute)), shown(getattr(sizes.most, attribute)))
        for _, attribute, shown in _RESOURCES
    ]
    if prices is not None:
        least, most = (f"{prices.month(size):,.2f} {prices.currency}" for size in sizes)
        cells.append(_text_range(least, most))
    return {"name": name, "style": style, "cells": cells}


def _text_range(least: str, most: str) -> str:
    """Returns two amounts with the unit, which they share, once."""
    if least == most:
        return "–" if not float(most.partition(" ")[0].replace(",", "")) else most
    return f"{least.partition(' ')[0]} – {most}"


def _sections(found: Sequence[Explanation]) -> Iterable[_Section]:
    plans = [{decision.name: decision for decision in item.plan.decisions()} for item in found]
    names: dict[str, list[str]] = {}
    for plan in plans:
        for name in plan:
            members = names.setdefault(name.rpartition(".")[0], [])
            if name not in members:
                members.append(name)
    for section, members in names.items():
        yield _Section(
            name=section,
            meaning=SECTIONS[section.partition(".")[0]],
            numbers=tuple(
                _Number(
                    name=name,
                    key=name.rpartition(".")[2],
                    values=tuple(_value(plan.get(name), plan) for plan in plans),
                )
                for name in members
            ),
        )


def _value(decision: Decision[Any] | None, plan: Mapping[str, Decision[Any]]) -> _Value | None:
    if decision is None:
        return None
    section = decision.name.rpartition(".")[0]
    return _Value(
        shown=decision.display(),
        source="" if decision.source is Source.DERIVED else decision.source.value,
        reason=decision.reason,
        inputs=tuple(
            # An input that is a number of the same section has its own row.
            (name, display(name, value), f"{section}.{name}" if f"{section}.{name}" in plan else "")
            for name, value in decision.inputs.items()
        ),
        enforced_by=decision.enforced_by.value,
        disruption=decision.disruption.value,
        effect=DISRUPTIONS[decision.disruption.value],
    )
