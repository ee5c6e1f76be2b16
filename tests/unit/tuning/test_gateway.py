"""Timeouts and retries of an HTTPRoute: longer than what is behind it, and only what exists."""

from typing import Any

import pytest

from fastapi_operator.facts import HTTP_ROUTE, ROUTE_FIELDS, Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.gateway import GatewayPlan
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import service

FACTS = Facts(apis=frozenset({HTTP_ROUTE}), route_fields=ROUTE_FIELDS)


def plan(facts: Facts = FACTS, *, proxy: dict[str, Any] | None = None, **gateway: Any) -> Plan:
    exposure = {"hosts": ["shop.example.com"], "gateway": {"name": "public", **gateway}}
    return derive(service(exposure=exposure, proxy=proxy or {}), Settings(), facts)


def seconds(found: Plan) -> tuple[int, int]:
    numbers = found.gateway
    assert isinstance(numbers, GatewayPlan)
    assert numbers.backend_request_seconds and numbers.request_seconds
    return numbers.backend_request_seconds.value, numbers.request_seconds.value


def test_each_timeout_is_longer_than_the_one_behind_it() -> None:
    assert seconds(plan(timeouts={})) == (35, 40)
    slow = {"timeouts": {"readSeconds": 120}}
    assert seconds(plan(timeouts={}, proxy=slow)) == (125, 130)
    assert seconds(plan(timeouts={}, proxy={"engine": "None"})) == (35, 40)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"requestSeconds": 300}, (35, 300)),
        ({"requestSeconds": 0}, (0, 0)),
        ({"requestSeconds": 31}, (31, 31)),
        ({"backendRequestSeconds": 90}, (90, 95)),
        ({"backendRequestSeconds": 0}, (0, 0)),
    ],
)
def test_one_given_timeout_decides_the_other(
    given: dict[str, int], expected: tuple[int, int]
) -> None:
    found = plan(timeouts=given)
    assert seconds(found) == expected
    assert found.problems == ()


@pytest.mark.parametrize(
    ("gateway", "path", "severity"),
    [
        ({"timeouts": {"requestSeconds": 20}}, "timeouts.requestSeconds", Severity.WARNING),
        (
            {"timeouts": {"backendRequestSeconds": 20}},
            "timeouts.backendRequestSeconds",
            Severity.WARNING,
        ),
        (
            {"timeouts": {"requestSeconds": 40, "backendRequestSeconds": 50}},
            "timeouts.backendRequestSeconds",
            Severity.ERROR,
        ),
        ({"retry": {"codes": [502, 503]}}, "retry.codes", Severity.WARNING),
    ],
)
def test_a_contradiction_is_reported(
    gateway: dict[str, Any], path: str, severity: Severity
) -> None:
    (problem,) = plan(**gateway).problems
    assert (problem.path, problem.severity) == (f"spec.exposure.gateway.{path}", severity)


def test_fields_that_the_cluster_lacks_are_left_out_with_a_warning() -> None:
    old = Facts(apis=frozenset({HTTP_ROUTE}), route_fields=frozenset())
    found = plan(old, timeouts={}, retry={})
    assert found.gateway == GatewayPlan()
    assert [(item.path, item.severity) for item in found.problems] == [
        ("spec.exposure.gateway.timeouts", Severity.WARNING),
        ("spec.exposure.gateway.retry", Severity.WARNING),
    ]
