"""The labelled services of tests/corpus, validated here; tests/api sends them to an API server."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fastapi_operator.api.crd import structural_schema
from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.rules import RULES
from fastapi_operator.api.service import Spec
from fastapi_operator.cli.validate import find_problems
from fastapi_operator.cluster.kinds import optional_apis
from fastapi_operator.facts import Facts
from fastapi_operator.problems import Problem, Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.exposure import CERTIFICATE, HTTP_ROUTE
from tests.corpus.cases import CASES, Case
from tests.unit.services import body
from tests.unit.spec_strategies import specs

# A cluster that serves every optional API.
FACTS = Facts(apis=optional_apis() | {HTTP_ROUTE, CERTIFICATE})


def errors(service: dict[str, Any]) -> list[Problem]:
    """Returns the errors of a service, as ``validate`` finds them."""
    problems = find_problems(service, Settings(), FACTS)
    return [problem for problem in problems if problem.severity is Severity.ERROR]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_on_a_labelled_service_is_its_label(case: Case) -> None:
    found = errors(case.body)

    assert {problem.stage.value for problem in found} == {case.stage} - {"none"}
    if case.path:
        assert any(problem.path.startswith(case.path) for problem in found)


def test_the_corpus_has_many_cases_with_unique_names() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_rule_is_violated_by_a_labelled_service() -> None:
    broken = {problem.message for case in CASES for problem in parse_service(case.body)[1]}
    assert [rule.message for rule in RULES if rule.message not in broken] == []


def test_every_field_of_the_spec_is_in_a_valid_labelled_service() -> None:
    written = {
        path for case in CASES if case.stage == "none" for path in paths_in(case.spec, "spec")
    }
    assert sorted(set(paths_of(structural_schema(Spec), "spec")) - written) == []


def paths_in(value: Any, path: str) -> Iterator[str]:
    yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from paths_in(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from paths_in(item, path)


def paths_of(node: dict[str, Any], path: str) -> Iterator[str]:
    yield path
    for name, child in node.get("properties", {}).items():
        yield from paths_of(child, f"{path}.{name}")
    for name, child in node.get("items", {}).get("properties", {}).items():
        yield from paths_of(child, f"{path}.{name}")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(specs(most_fields=5))
def test_a_spec_that_schema_and_rules_accept_gets_a_plan_or_problems_with_paths(
    spec: dict[str, Any],
) -> None:
    for problem in errors(body(spec)):
        assert problem.path.startswith("spec")
