"""The plan as data for people and machines, and the difference between two plans."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastapi_operator.problems import Problem
from fastapi_operator.tuning.budget import ConnectionBudget
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.plan import Plan


class Change(NamedTuple):
    """A decision that differs between two plans; None if a plan has no such part."""

    before: Decision[Any] | None
    after: Decision[Any] | None

    @property
    def decision(self) -> Decision[Any]:
        """The later decision, or the earlier one if its part was removed."""
        decision = self.after or self.before
        assert decision is not None, "a change has at least one side"
        return decision


def decision_record(decision: Decision[Any]) -> dict[str, Any]:
    """Returns a decision in the form of ``explain -o json``."""
    return {
        "name": decision.name,
        "value": _plain(decision.value),
        "unit": decision.unit,
        "reason": decision.reason,
        "inputs": {name: _plain(value) for name, value in decision.inputs.items()},
        "source": decision.source.value,
        "disruption": decision.disruption.value,
        "enforcedBy": decision.enforced_by.value,
        "reference": decision.reference,
    }


def _plain(value: Any) -> Any:
    """Returns a value with types that JSON and YAML have."""
    return list(value) if isinstance(value, tuple) else value


def budget_record(budget: ConnectionBudget | None) -> dict[str, Any] | None:
    """Returns the connection budget with the slack of each step."""
    if budget is None:
        return None
    return {
        "claims": [
            {
                "name": claim.name,
                "processes": claim.processes,
                "perProcess": claim.per_process,
                "demand": claim.demand,
            }
            for claim in budget.claims
        ],
        "demand": budget.demand,
        "poolerClients": budget.pooler_clients,
        "poolerServers": budget.pooler_servers,
        "maxConnections": budget.max_connections,
        "reserved": budget.reserved,
        "direct": budget.direct,
        "steps": [
            {
                "name": step.name,
                "demand": step.demand,
                "capacity": step.capacity,
                "slack": step.slack,
                "enforcedBy": step.enforced_by,
            }
            for step in budget.steps()
        ],
    }


def problem_record(problem: Problem) -> dict[str, Any]:
    """Returns a problem as plain data."""
    texts = {"severity": problem.severity.value, "stage": problem.stage.value}
    return dataclasses.asdict(problem) | texts


def changes(before: Plan, after: Plan) -> Iterator[Change]:
    """Yields the decisions whose value differs, in the order of the later plan."""
    old = {decision.name: decision for decision in before.decisions()}
    for decision in after.decisions():
        previous = old.pop(decision.name, None)
        if previous is None or previous.value != decision.value:
            yield Change(previous, decision)
    for gone in old.values():
        yield Change(gone, None)
