from typing import Any

import pytest

from fastapi_operator.api.documents import DocumentError
from fastapi_operator.api.parse import find_services, load_services, parse_service
from fastapi_operator.problems import Severity, Stage
from tests.unit.services import body

IMAGE = {"image": "registry.example.com/shop:1"}


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({}, "spec.image", "is required"),
        (IMAGE | {"wrkers": 1}, "spec.wrkers", "unknown field"),
        (IMAGE | {"server": {"threds": 4}}, "spec.server.threds", "did you mean threads?"),
        (
            IMAGE | {"server": {"workers": -1}},
            "spec.server.workers",
            "-1 must be greater than or equal to 1",
        ),
        (
            IMAGE | {"server": {"engine": "Hypercorn"}},
            "spec.server.engine",
            "'Hypercorn' is not supported; use 'Uvicorn'",
        ),
        (IMAGE | {"port": "8000"}, "spec.port", "'8000' must be an integer without quotes"),
        (IMAGE | {"redis": {"memory": "12 bananas"}}, "spec.redis.memory", "'12 bananas' is not"),
        (IMAGE | {"redis": {"memory": 0.5}}, "spec.redis.memory", 'quote it: "0.5"'),
        (IMAGE | {"redis": {"memory": True}}, "spec.redis.memory", "must be a quantity"),
        (IMAGE | {"app": "shop main"}, "spec.app", "'shop main' must match ^"),
        ({"image": 'x"; rm'}, "spec.image", 'for example "registry.example.com/shop:1.4.2"'),
        (IMAGE | {"server": {"rootPath": "/a;b"}}, "spec.server.rootPath", "'/a;b' must match ^"),
        (IMAGE | {"server": {"engine": "uvicorn"}}, "spec.server.engine", "did you mean Uvicorn?"),
        (
            IMAGE | {"postgres": {"migrations": {"retry": 2}}},
            "spec.postgres.migrations.retry",
            'quote it: "2"',
        ),
        (IMAGE | {"suspend": "true"}, "spec.suspend", "true or false without quotes"),
        (IMAGE | {"redis": True}, "spec.redis", "write {} for all defaults"),
        (IMAGE | {"command": "serve"}, "spec.command", "'serve' must be a list; for example [\"py"),
        (IMAGE | {"unheard": None}, "spec.unheard", "unknown field"),
        (IMAGE | {"image": "x" * 600}, "spec.image", "…"),
        (
            IMAGE | {"background": [{"name": "a", "command": ["a"], "replica": 2}]},
            "spec.background[0].replica",
            "did you mean replicas?",
        ),
        (
            IMAGE | {"proxy": {"cache": {"routes": [{"path": "/", "secs": 1, "seconds": 1}]}}},
            "spec.proxy.cache.routes[0].secs",
            "did you mean seconds?",
        ),
        (
            IMAGE | {"availability": {"nodeSelector": {"a b": "c"}}},
            "spec.availability.nodeSelector.a b",
            "must match ^",
        ),
        (IMAGE | {"imagePullSecrets": [{}]}, "spec.imagePullSecrets[0].name", "is required"),
    ],
)
def test_an_invalid_field_is_reported_with_its_path_and_value(
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
def test_a_violated_rule_is_reported_at_its_field(spec: dict[str, Any], path: str) -> None:
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


def test_a_null_in_a_list_is_a_warning_with_its_index() -> None:
    process = {"name": "a", "command": ["a"], "replicas": None}
    service, problems = parse_service(body(IMAGE | {"background": [process]}))

    assert service is not None
    assert [(problem.severity, problem.path) for problem in problems] == [
        (Severity.WARNING, "spec.background[0].replicas")
    ]


def test_nulls_in_parts_of_a_pod_are_accepted_without_a_warning() -> None:
    service, problems = parse_service(body(IMAGE | {"env": [{"name": "A", "value": None}]}))

    assert service is not None
    assert problems == ()


def test_a_name_that_is_too_long_for_owned_objects_is_refused() -> None:
    service, problems = parse_service(body(IMAGE, name="a" * 41))

    assert service is None
    assert [problem.path for problem in problems] == ["metadata.name"]


def test_services_are_found_in_a_list_from_kubectl() -> None:
    text = """
kind: List
items:
- {kind: ConfigMap}
- kind: FastAPIService
  spec:
    image: a
    sever: {}
"""
    (found,) = find_services(text)

    assert found.body["spec"] == {"image": "a", "sever": {}}
    assert found.line("spec.sever") == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: FastAPIService\nspec: {image: a, image: b}", "duplicate key 'image'"),
        (
            "kind: FastApiService",
            "no document of kind FastAPIService; found kinds: FastApiService",
        ),
        ("{", "not valid YAML"),
    ],
)
def test_a_text_without_a_service_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        load_services(text)
