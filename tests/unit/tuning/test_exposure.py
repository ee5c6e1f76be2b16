"""The address of a service, and problems that keep clients from it."""

from typing import Any

import pytest

from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE, Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from tests.unit.services import service

HOSTS = {"hosts": ["shop.example.com", "www.example.com"]}
EVERYTHING = Facts(apis=frozenset({HTTP_ROUTE, CERTIFICATE}))


def plan(exposure: dict[str, Any], facts: Facts = EVERYTHING, **spec: Any) -> Plan:
    return derive(service(exposure=exposure, **spec), Settings(), facts)


@pytest.mark.parametrize(
    ("exposure", "url"),
    [
        (HOSTS | {"ingress": {}}, "http://shop.example.com"),
        (HOSTS | {"ingress": {}, "tls": {}}, "https://shop.example.com"),
        ({"hosts": ["*.example.com"], "ingress": {}}, None),
        ({"loadBalancer": {}}, None),
    ],
)
def test_the_address_is_that_of_the_first_host(exposure: dict[str, Any], url: str | None) -> None:
    exposed = plan(exposure).exposure
    assert exposed is not None and exposed.url == url


def test_the_address_ends_with_the_root_path() -> None:
    exposed = plan(HOSTS | {"ingress": {}}, server={"rootPath": "/shop/"}).exposure
    assert exposed is not None and exposed.url == "http://shop.example.com/shop"


GATEWAY = HOSTS | {"gateway": {"name": "public"}}
ISSUER = {"tls": {"issuer": {"name": "letsencrypt"}}}


@pytest.mark.parametrize(
    ("exposure", "path", "message"),
    [
        (GATEWAY, "spec.exposure.gateway", f"the cluster does not serve {HTTP_ROUTE}"),
        (
            HOSTS | {"ingress": {}} | ISSUER,
            "spec.exposure.tls.issuer",
            f"the cluster does not serve {CERTIFICATE}",
        ),
    ],
)
def test_an_api_that_is_missing_is_named(exposure: dict[str, Any], path: str, message: str) -> None:
    (problem,) = plan(exposure, Facts()).problems
    assert (problem.path, problem.message) == (path, message)
    assert problem.remedy
    assert plan(exposure).problems == ()


@pytest.mark.parametrize(
    ("exposure", "spec", "path"),
    [
        (HOSTS | {"gateway": {}}, {}, "spec.exposure.gateway.name"),
        (HOSTS | {"loadBalancer": {}, "tls": {}}, {}, "spec.exposure.tls"),
        (
            HOSTS | {"loadBalancer": {}, "tls": {"secretName": "a"}},
            {"proxy": {"engine": "None"}},
            "spec.exposure.tls",
        ),
    ],
)
def test_a_contradiction_is_a_problem(
    exposure: dict[str, Any], spec: dict[str, Any], path: str
) -> None:
    assert [problem.path for problem in plan(exposure, **spec).problems] == [path]


def test_without_a_proxy_the_app_outlasts_the_load_balancer() -> None:
    found = plan({"idleTimeoutSeconds": 350}, proxy={"engine": "None"})
    assert found.server.keep_alive_seconds.value == 365
    assert plan({"idleTimeoutSeconds": 350}).server.keep_alive_seconds.value == 75
