"""The API server and the command line accept and refuse the same services, at the same paths."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from fastapi_operator.api.parse import load_services, parse_service
from fastapi_operator.problems import Severity, Stage
from tests.api.kube import Kube, RefusedError
from tests.cluster.apiserver import ApiServer
from tests.corpus.cases import CASES, Case
from tests.unit.services import body
from tests.unit.spec_strategies import mutated_specs, specs

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "manifests/samples").rglob("*.yaml"))
COLLECTION = "/apis/fastapi-operator.io/v1alpha1/namespaces/default/fastapiservices"


@pytest.fixture(scope="module")
def kube(server: ApiServer) -> Iterator[Kube]:
    """One client, whose connections stay open."""
    return Kube(server.kubeconfig)


def refusal(kube: Kube, service: dict[str, Any]) -> str | None:
    """The API server's objection to the creation of a service; None if it would be accepted."""
    metadata = {**service["metadata"], "namespace": "default"}
    metadata.pop("uid", None)
    try:
        kube.request(
            "POST",
            COLLECTION,
            {**service, "metadata": metadata},
            dryRun="All",
            fieldValidation="Strict",
        )
    except RefusedError as error:
        assert error.status in (400, 422), error
        return error.message
    return None


def complaints(service: dict[str, Any]) -> list[str]:
    """The problems of the command line, by schema and rules."""
    _, problems = parse_service(service)
    return [
        str(problem)
        for problem in problems
        if problem.severity is Severity.ERROR and problem.stage is not Stage.PLAN
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_api_server_judges_a_labelled_service_as_labelled(kube: Kube, case: Case) -> None:
    message = refusal(kube, case.body)
    if case.stage in ("schema", "rule"):
        assert message is not None
        assert case.path in message
    else:
        assert message is None


def test_every_rule_has_the_same_message_on_both_sides(kube: Kube) -> None:
    for case in CASES:
        if case.stage == "rule":
            _, problems = parse_service(case.body)
            message = refusal(kube, case.body) or ""
            for problem in problems:
                assert f"{problem.path}: " in message, case.name
                assert problem.message in message, case.name


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(specs())
def test_random_services_get_the_same_verdict(kube: Kube, spec: dict[str, Any]) -> None:
    service = body(spec)
    assert (refusal(kube, service) is None) == (complaints(service) == [])


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(mutated_specs())
@example({"image": "a", "redis": {"memory": 2.0}})
@example({"image": "a", "port": 8000.0})
@example({"image": "a", "proxy": {"maxBodySize": 2**53 + 1}})
def test_services_with_mistakes_get_the_same_verdict(kube: Kube, spec: dict[str, Any]) -> None:
    service = body(spec)
    assert (refusal(kube, service) is None) == (complaints(service) == [])


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_the_api_server_accepts_every_sample(kube: Kube, sample: Path) -> None:
    for service in load_services(sample.read_text()):
        assert refusal(kube, service) is None


def test_the_samples_stay_valid_when_any_field_is_left_out(kube: Kube) -> None:
    """A section is never required by another one, unless a rule or `required` states it."""
    (full,) = load_services((ROOT / "manifests/samples/full.yaml").read_text())
    for name in full["spec"]:
        spec = {field: value for field, value in full["spec"].items() if field != name}
        service = {**full, "spec": spec}
        assert (refusal(kube, service) is None) == (complaints(service) == []), name
