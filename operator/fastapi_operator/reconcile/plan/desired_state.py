"""Builds the desired state of a service in one call: parse, derive, build."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.resources.access import Address, addresses
from fastapi_operator.resources.build import build
from fastapi_operator.resources.checks import object_problems
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.migration import migration_key
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan


@dataclass(frozen=True)
class DesiredState:
    """Everything that follows from a spec alone.

    Attributes:
        problems: The problems of the spec; if one is an error, there are no objects.
        objects: The desired objects.
        migration_key: Key of the desired migration; None if there is none.
        plan: The numbers; None if the spec cannot be parsed.
        suspended: Whether ``spec.suspend`` is true.
        addresses: The keys with the address of an external database.
        restore: The dump that fills a new database; empty if there is none.
    """

    problems: tuple[Problem, ...]
    objects: tuple[Desired, ...] = ()
    migration_key: str | None = None
    plan: Plan | None = None
    suspended: bool = False
    addresses: tuple[Address, ...] = ()
    restore: str = ""

    @property
    def error(self) -> Problem | None:
        """The first problem that prevents the service from being applied."""
        return next((p for p in self.problems if p.severity is Severity.ERROR), None)


BuildDesiredState = Callable[[Mapping[str, Any], Settings, Facts], DesiredState]


def build_desired_state(body: Mapping[str, Any], settings: Settings, facts: Facts) -> DesiredState:
    """Returns the desired state of a service."""
    service, problems = parse_service(body)
    suspended = bool((body.get("spec") or {}).get("suspend"))
    if service is None:
        return DesiredState(problems=problems, suspended=suspended)
    plan = derive(service, settings, facts)
    problems = (*problems, *plan.problems)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return DesiredState(problems=problems, plan=plan, suspended=suspended)
    objects = build(service, plan, settings, facts)
    inputs = Inputs.of(service, plan, settings, facts)
    problems = (*problems, *object_problems(inputs, objects))
    if any(problem.severity is Severity.ERROR for problem in problems):
        return DesiredState(problems=problems, plan=plan, suspended=suspended)
    planned = plan.planned(service)
    postgres = planned.spec.postgres
    restore = postgres.restore_from if postgres else None
    return DesiredState(
        problems=problems,
        objects=objects,
        migration_key=migration_key(planned),
        plan=plan,
        suspended=suspended,
        addresses=addresses(inputs),
        restore=f"{restore.claim}/{restore.file or ''}" if restore else "",
    )
