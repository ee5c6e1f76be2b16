"""Which of the tried indexes are worth their writes, as diagnoses of ``doctor``.

The database is read three times: the plans of the slowest statements; their plans with each
candidate alone; and with all chosen indexes together, so that the reported costs are those after
the change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.indexes.candidates import Index, Plan, Table, candidates
from fastapi_operator.observability.units import milliseconds

RULE = "missing-index"
_TEXT_LENGTH = 160
# An index with fewer columns is preferred to one that is a little better.
_NEARLY = 1.1
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Statement:
    """A statement of ``pg_stat_statements``.

    Attributes:
        query: Its text with placeholders.
        calls: How often it was executed.
        seconds: The time of all executions.
        plan: Its plan without further indexes; None if it cannot be planned without its values.
    """

    query: str
    calls: int
    seconds: float
    plan: Plan | None = field(compare=False)


@dataclass(frozen=True)
class Survey:
    """The slowest statements of a database.

    Attributes:
        statements: Those that took most of the time first.
        tables: The large tables.
        seconds: The time for which the statements were counted.
    """

    statements: tuple[Statement, ...]
    tables: tuple[Table, ...]
    seconds: float

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "Survey":
        """Returns the survey in the output of ``trial.sql``."""
        return cls(
            tuple(
                Statement(one["query"], int(one["calls"]), one["seconds"], result.get("plan"))
                for one, result in zip(record["statements"], record["plans"], strict=True)
            ),
            tuple(Table(**one) for one in record["tables"]),
            max(1.0, record["seconds"]),
        )


@dataclass(frozen=True)
class Trial:
    """A statement to plan with hypothetical indexes."""

    statement: Statement
    indexes: tuple[Index, ...]

    def record(self) -> dict[str, Any]:
        """Returns it as ``trial.sql`` reads it."""
        return {
            "query": self.statement.query,
            "indexes": [index.definition() for index in self.indexes],
        }


def trials(survey: Survey) -> tuple[Trial, ...]:
    """Returns the statements of the survey, each with each of its candidates alone."""
    return tuple(
        Trial(statement, (index,))
        for statement in survey.statements
        if statement.plan is not None
        for index in candidates(statement.plan, survey.tables)
    )


def final_trials(tried: Sequence[Trial], results: Sequence[Mapping[str, Any]]) -> tuple[Trial, ...]:
    """Returns the statements that an index would help, each with all chosen indexes together."""
    better: dict[Statement, list[tuple[float, Index]]] = {}
    for trial, result in zip(tried, results, strict=True):
        cost = _cost(result.get("plan"))
        if cost is not None and cost <= bounds.INDEX_COST_FACTOR * _before(trial.statement):
            better.setdefault(trial.statement, []).append((cost, trial.indexes[0]))
    chosen = dict.fromkeys(_best(costs) for costs in better.values())
    kept = tuple(one for one in chosen if not any(one.begins(other) for other in chosen))
    return tuple(Trial(statement, kept) for statement in better)


def diagnoses(
    survey: Survey, tried: Sequence[Trial], results: Sequence[Mapping[str, Any]]
) -> tuple[Diagnosis, ...]:
    """Returns a diagnosis for each index that the planner would use.

    Args:
        survey: The survey.
        tried: The final trials.
        results: Their results.
    """
    helped: dict[Index, list[tuple[Statement, float, int]]] = {}
    for trial, result in zip(tried, results, strict=True):
        cost = _cost(result.get("plan"))
        if cost is None:
            continue
        used = _index_names(result["plan"])
        for index, made in zip(trial.indexes, result["indexes"], strict=True):
            if made["name"] in used:
                helped.setdefault(index, []).append((trial.statement, cost, made["bytes"]))
    found = (_diagnosis(survey, index, uses) for index, uses in helped.items())
    return tuple(one for one in found if one.effect >= bounds.INDEX_EFFECT_MIN)


def _diagnosis(
    survey: Survey, index: Index, uses: Sequence[tuple[Statement, float, int]]
) -> Diagnosis:
    saved = [
        statement.seconds / survey.seconds * (1 - cost / _before(statement))
        for statement, cost, _ in uses
    ]
    statement, cost, size = uses[saved.index(max(saved))]
    others = f" (and {len(uses) - 1} more)" if len(uses) > 1 else ""
    return Diagnosis(
        rule=RULE,
        diagnosis=f"a statement{others} reads all {index.table.rows:,} rows of {index.table.sql}, "
        "and the planner would use an index",
        change="create it outside of a transaction, for example in a migration: "
        f"{index.definition(concurrently=True)}",
        signals={
            "statement": _shortened(statement.query),
            "calls": f"{statement.calls:,} of {milliseconds(statement.seconds / statement.calls)}",
            "planner's cost": f"{_before(statement):,.0f} now, {cost:,.0f} with the index",
            "size of the index": f"about {max(1, round(size / _MEBIBYTE)):,} MiB",
        },
        effect=sum(saved),
    )


def _best(costs: Sequence[tuple[float, Index]]) -> Index:
    least = min(cost for cost, _ in costs)
    near = [(len(index.columns), cost, index) for cost, index in costs if cost <= _NEARLY * least]
    return min(near, key=lambda one: one[:2])[2]


def _before(statement: Statement) -> float:
    return _cost(statement.plan) or 0.0


def _cost(plan: Plan | None) -> float | None:
    return None if plan is None else float(plan["Total Cost"])


def _index_names(plan: Plan) -> set[str]:
    names = {plan["Index Name"]} if "Index Name" in plan else set()
    return names.union(*(_index_names(child) for child in plan.get("Plans", ())))


def _shortened(query: str) -> str:
    text = " ".join(query.split())
    text = "".join(character for character in text if character.isprintable())
    return text if len(text) <= _TEXT_LENGTH else f"{text[: _TEXT_LENGTH - 1]}…"
