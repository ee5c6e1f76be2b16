from typing import Any

import pytest

from fastapi_operator.api.parse import DocumentError, load_services, parse_service
from fastapi_operator.problems import Severity, Stage
from tests.unit.services import body

IMAGE = {"image": "registry.example.com/shop:1"}


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({}, "spec.image", "is required"),
        (IMAGE | {"wrkers": 1}, "spec.wrkers", "unknown field"),
        (IMAGE | {"server": {"threds": 4}}, "spec.server.threds", "did you mean threads?"),
        (IMAGE | {"server": {"workers": -1}}, "spec.server.workers", "-1 should be greater"),
        (IMAGE | {"server": {"kind": "Hypercorn"}}, "spec.server.kind", "is 'Hypercorn'"),
        (IMAGE | {"port": "8000"}, "spec.port", "'8000' should be a valid integer"),
        (IMAGE | {"redis": {"memory": "12 bananas"}}, "spec.redis.memory", "'12 bananas' is not"),
        (IMAGE | {"redis": {"memory": 0.5}}, "spec.redis.memory", 'quote it: "0.5"'),
        (IMAGE | {"redis": {"memory": True}}, "spec.redis.memory", "must be a quantity"),
        (IMAGE | {"app": "shop main"}, "spec.app", "should match pattern"),
        ({"image": 'x"; rm'}, "spec.image", "should match pattern"),
        (IMAGE | {"server": {"rootPath": "/a;b"}}, "spec.server.rootPath", "match pattern"),
        (IMAGE | {"imagePullSecrets": [{}]}, "spec.imagePullSecrets[0].name", "is required"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(
    spec: dict[str, Any], path: str, message: str
) -> None:
    service, problems = parse_service(body(spec))

    assert service is None
    (problem,) = problems
    assert problem.stage is Stage.SCHEMA
    assert problem.path == path
    assert message in str(problem)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"args": ["x"]}, "spec.args"),
        ({"server": {"workers": 2}}, "spec.server.workers"),
        ({"server": {"workerPolicy": "Fixed"}}, "spec.server.workerPolicy"),
        ({"scaling": {"replicas": 1, "minReplicas": 2}}, "spec.scaling.replicas"),
        ({"scaling": {"minReplicas": 3, "maxReplicas": 2}}, "spec.scaling.minReplicas"),
    ],
)
def test_a_broken_rule_is_a_problem_of_its_field(spec: dict[str, Any], path: str) -> None:
    service, problems = parse_service(body(IMAGE | spec))

    assert service is None
    assert [(problem.stage, problem.path) for problem in problems] == [(Stage.RULE, path)]


def test_an_explicit_null_counts_as_absent_and_is_a_warning() -> None:
    service, problems = parse_service(body(IMAGE | {"redis": None}))

    assert service is not None
    assert service.spec.redis is None
    (problem,) = problems
    assert problem.severity is Severity.WARNING
    assert "write redis: {}" in problem.remedy


def test_a_name_that_children_could_not_carry_is_refused() -> None:
    service, problems = parse_service(body(IMAGE, name="a" * 41))

    assert service is None
    assert [problem.path for problem in problems] == ["metadata.name"]


def test_scalars_are_read_as_kubectl_reads_them() -> None:
    (document,) = load_services(
        "kind: FastAPIService\nspec: {a: 2026-01-01, b: 1:30, c: 1e3, d: on, e: y, f: 0o17, g: 010}"
    )

    assert document["spec"] == {
        "a": "2026-01-01",
        "b": "1:30",
        "c": 1000.0,
        "d": True,
        "e": True,
        "f": 15,
        "g": 8,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: FastAPIService\nspec: {image: a, image: b}", "'image' stands twice"),
        ("kind: Deployment", "no document of kind FastAPIService"),
        ("{", "not YAML"),
    ],
)
def test_a_text_that_holds_no_service_says_why(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        load_services(text)
