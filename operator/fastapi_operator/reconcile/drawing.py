"""The pure core in one call: parse, derive, build."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator.api.parse import parse_service
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Severity
from fastapi_operator.reconcile.blueprint import Blueprint
from fastapi_operator.resources.build import build
from fastapi_operator.resources.migration import migration_key
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive


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
