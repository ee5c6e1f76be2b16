"""The pure core in one call: parse, derive, build."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.migration import migration_key
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan


@dataclass(frozen=True)
class Blueprint:
    """Everything that follows from a spec alone.

    Attributes:
        problems: What is wrong with it; with an error there are no objects.
        desired: The wanted objects.
        migration_key: Key of the wanted migration; None where none is wanted.
        plan: The numbers; None where the spec is refused.
        suspended: The user asked that nothing be written.
    """

    problems: tuple[Problem, ...]
    desired: tuple[Desired, ...] = ()
    migration_key: str | None = None
    plan: Plan | None = None
    suspended: bool = False

    @property
    def error(self) -> Problem | None:
        """The first problem that forbids applying the service."""
        return next((p for p in self.problems if p.severity is Severity.ERROR), None)


Draw = Callable[[Mapping[str, Any], Settings, Facts], Blueprint]


def draw(body: Mapping[str, Any], settings: Settings, facts: Facts) -> Blueprint:
    """The blueprint of a service: parse, derive, build. Pure."""
    service, problems = parse_service(body)
    suspended = bool((body.get("spec") or {}).get("suspend"))
    if service is None:
        return Blueprint(problems=problems, suspended=suspended)
    plan = derive(service, settings, facts)
    problems = (*problems, *plan.problems)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return Blueprint(problems=problems, plan=plan, suspended=suspended)
    return Blueprint(
        problems=problems,
        desired=build(service, plan, settings, facts),
        migration_key=migration_key(plan.planned(service)),
        plan=plan,
        suspended=suspended,
    )
