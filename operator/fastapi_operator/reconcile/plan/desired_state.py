"""Builds the desired state of a service in one call: parse, derive, build."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.problems import MissingApi, Problem, Severity
from fastapi_operator.reconcile.plan.canary_course import Course
from fastapi_operator.resources.access import Address, addresses
from fastapi_operator.resources.build import build
from fastapi_operator.resources.checks import object_problems
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.migration import migration_key
from fastapi_operator.resources.stage import Stage
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive_accepted
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements
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
        course: The steps of a new version; None if it is released at once.
    """

    problems: tuple[Problem, ...]
    objects: tuple[Desired, ...] = ()
    migration_key: str | None = None
    plan: Plan | None = None
    suspended: bool = False
    addresses: tuple[Address, ...] = ()
    restore: str = ""
    course: Course | None = None

    @property
    def error(self) -> Problem | None:
        """The first problem that prevents the service from being applied."""
        return next((p for p in self.problems if p.severity is Severity.ERROR), None)

    @property
    def needs_api(self) -> bool:
        """Whether nothing but missing APIs prevents the service from being applied."""
        errors = [p for p in self.problems if p.severity is Severity.ERROR]
        return bool(errors) and all(isinstance(p, MissingApi) for p in errors)


class BuildDesiredState(Protocol):
    """Builds the desired state of a service: ``build_desired_state``."""

    def __call__(  # noqa: D102
        self,
        body: Mapping[str, Any],
        settings: Settings,
        facts: Facts,
        stage: Stage | None = None,
        accepted: Measurements = NOT_MEASURED,
    ) -> DesiredState: ...


def build_desired_state(
    body: Mapping[str, Any],
    settings: Settings,
    facts: Facts,
    stage: Stage | None = None,
    accepted: Measurements = NOT_MEASURED,
) -> DesiredState:
    """Returns the desired state of a service, with a new version at a stage if there is one.

    Args:
        body: The service.
        settings: The settings of the operator.
        facts: The facts about its cluster.
        stage: The stage of a new version; None without one.
        accepted: The figures that automatic tuning accepted.
    """
    service, problems = parse_service(body)
    suspended = bool((body.get("spec") or {}).get("suspend"))
    if service is None:
        return DesiredState(problems=problems, suspended=suspended)
    plan = derive_accepted(service, settings, facts, accepted)
    problems = (*problems, *plan.problems)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return DesiredState(problems=problems, plan=plan, suspended=suspended)
    objects = build(service, plan, settings, facts, stage)
    inputs = Inputs.of(service, plan, settings, facts, stage)
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
        course=Course.of(planned.spec, plan),
        restore=f"{restore.claim}/{restore.file or ''}" if restore else "",
    )
