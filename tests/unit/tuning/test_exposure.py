"""The address of a service, and problems that keep clients from it."""

from typing import Any

import pytest

from fastapi_operator.api.exposure import Entry, Exposure
from fastapi_operator.facts import CERTIFICATE, HTTP_ROUTE, Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.plan import Plan
from fastapi_operator.tuning.routes import entry_ports
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


ADMIN: dict[str, Any] = {"name": "admin", "hosts": ["admin.example.com"], "paths": ["/admin"]}


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ({"ingress": {}}, "http://admin.example.com/shop/admin"),
        ({"ingress": {}, "tls": {}}, "https://admin.example.com/shop/admin"),
        ({"hosts": None}, "http://shop-entry-admin.default.svc/shop/admin"),
        ({"hosts": None, "paths": None}, "http://shop-entry-admin.default.svc/shop"),
        ({"hosts": ["*.example.com"], "ingress": {}}, None),
    ],
)
def test_an_entry_has_an_address_of_its_own(entry: dict[str, Any], url: str | None) -> None:
    fields = {name: value for name, value in (ADMIN | entry).items() if value is not None}
    exposed = plan({"entries": [fields]}, server={"rootPath": "/shop"}).exposure
    assert exposed is not None
    assert exposed.url is None
    assert [item.url for item in exposed.entries] == [url]


def test_a_host_can_have_two_gateways_but_not_one_gateway_twice() -> None:
    public, internal = {"gateway": {"name": "public"}}, {"gateway": {"name": "internal"}}
    entry = ADMIN | {"hosts": HOSTS["hosts"]}
    main = HOSTS | public | {"privatePaths": ["/admin/keys"]}
    assert plan(main | {"entries": [entry | internal]}).problems == ()
    ambiguous, opened = plan(main | {"entries": [entry | public]}).problems
    assert ambiguous.path == "spec.exposure.entries[admin].hosts"
    assert "shop.example.com is also a host of spec.exposure" in ambiguous.message
    assert opened.path == "spec.exposure.entries[admin].paths"
    assert opened.message.startswith("/admin/keys is private")
    for paths in (["/admin"], ["/admin/keys/new"]):
        other = plan(main | {"entries": [ADMIN | public | {"paths": paths}]})
        assert [item.path for item in other.problems] == [opened.path]


def test_entries_whose_names_give_one_port_are_refused() -> None:
    ports: dict[int, str] = {}
    for number in range(1000):
        name = f"e{number}"
        first = ports.setdefault(entry_ports(Exposure(entries=(Entry(name=name),)))[name], name)
        if first != name:
            break
    (problem,) = plan({"entries": [{"name": first}, {"name": name}]}).problems
    assert (problem.path, problem.remedy) == (
        f"spec.exposure.entries[{name}].name",
        "use another name",
    )


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
        (
            {"entries": [ADMIN | {"gateway": {"name": "internal"}}]},
            "spec.exposure.entries[admin].gateway",
            f"the cluster does not serve {HTTP_ROUTE}",
        ),
        (
            {"entries": [ADMIN | {"ingress": {}} | ISSUER]},
            "spec.exposure.entries[admin].tls.issuer",
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
