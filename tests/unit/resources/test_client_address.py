"""Which client a request has, behind each kind of load balancer, by real proxies."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fastapi_operator.facts import HTTP_ROUTE, Facts
from fastapi_operator.problems import Severity
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.resources import raw
from tests.unit.resources.caddy import Caddy
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import container, wanted
from tests.unit.resources.web import BEHIND_INGRESS
from tests.unit.services import service

GATEWAY = {"hosts": ["shop.example.com"], "gateway": {"name": "public"}}
LIMIT = {"requestsPerSecond": 1, "burst": 2}
ANNOTATION = "service.beta.kubernetes.io/"


@pytest.fixture(params=["Nginx", "Caddy"])
def proxy(request: pytest.FixtureRequest, nginx: Nginx, caddy: Caddy) -> Nginx | Caddy:
    chosen: Nginx | Caddy = nginx if request.param == "Nginx" else caddy
    return chosen


def _client_of(proxy: Nginx | Caddy, head: bytes = b"", **forwarded: str) -> dict[str, str]:
    """Sends a request after ``head``; returns the X- headers that the app gets, or none."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in forwarded.items()]
    request = "\r\n".join(["GET / HTTP/1.0", "Host: x", *lines, "", ""]).encode()
    with socket.create_connection(("127.0.0.1", proxy.pod.port(8080)), timeout=5) as client:
        client.sendall(head + request)
        try:
            answer = b"".join(iter(lambda: client.recv(4096), b"")).decode()
        except ConnectionResetError:
            return {}
    if "200 OK" not in answer:
        return {}
    seen: dict[str, str] = json.loads(answer.partition("\r\n\r\n")[2])
    return {name.lower(): value for name, value in seen.items()}


def _from(address: str) -> bytes:
    family = "TCP6" if ":" in address else "TCP4"
    target = "::1" if ":" in address else "127.0.0.1"
    return f"PROXY {family} {address} {target} 1234 80\r\n".encode()


def test_no_other_header_names_the_client(proxy: Nginx | Caddy) -> None:
    names = ("Forwarded", "X_Forwarded_For", "X-Forwarded_For", "x_real_ip", "X_Request-Start")
    forged = tuple((name, "for=198.51.100.7") for name in names)
    with proxy.running():
        seen = raw.send(proxy.pod.port(8080), "/", headers=(*forged, ("X-Other", "a"))).seen
    assert seen["X-Other"] == "a"
    assert "for=198.51.100.7" not in seen.values()


@pytest.mark.parametrize("exposure", [None, {"loadBalancer": {}}])
def test_a_client_cannot_choose_its_address_behind_a_plain_load_balancer(
    proxy: Nginx | Caddy, exposure: dict[str, Any] | None
) -> None:
    with proxy.running(exposure=exposure):
        seen = _client_of(proxy, X_Forwarded_For="198.51.100.7", X_Forwarded_Proto="https")
    assert seen["x-forwarded-for"] == seen["x-real-ip"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"


def test_forged_addresses_do_not_pass_the_rate_limit(nginx: Nginx) -> None:
    with nginx.running(proxy={"rateLimit": LIMIT}, exposure={"loadBalancer": {}}):
        sent = [nginx.get(X_Forwarded_For=f"198.51.100.{n}").status for n in range(12)]
    assert sent.count(200) == 3
    assert sent.count(429) == 9


def test_a_network_that_is_named_is_trusted(proxy: Nginx | Caddy) -> None:
    trusted = {"trustedNetworks": ["127.0.0.0/8"]}
    with proxy.running(proxy=trusted, exposure={"loadBalancer": {}}):
        seen = _client_of(proxy, X_Forwarded_For="198.51.100.7", X_Forwarded_Proto="https")
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("198.51.100.7", "https")


@pytest.mark.parametrize("address", ["198.51.100.7", "2001:db8::7"])
def test_the_client_of_a_load_balancer_with_proxy_protocol(
    proxy: Nginx | Caddy, address: str
) -> None:
    with proxy.running(exposure={"loadBalancer": {"proxyProtocol": True}}):
        seen = _client_of(
            proxy, _from(address), X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https"
        )
    assert seen["x-forwarded-for"] == seen["x-real-ip"] == address
    assert seen["x-forwarded-proto"] == "http"


def test_proxy_protocol_of_an_untrusted_network_names_no_client(proxy: Nginx | Caddy) -> None:
    balancer = {"loadBalancer": {"proxyProtocol": True}}
    with proxy.running(exposure=balancer, proxy={"trustedNetworks": ["192.0.2.0/24"]}):
        seen = _client_of(proxy, _from("198.51.100.7"))
    assert seen.get("x-forwarded-for") in ("127.0.0.1", None)


def test_nginx_requires_the_header_of_proxy_protocol(nginx: Nginx) -> None:
    with nginx.running(exposure={"loadBalancer": {"proxyProtocol": True}}):
        assert not _client_of(nginx)
        assert nginx.get("/healthz", 8081).status == 200, "the kubelet's port needs none"


def test_the_rate_limit_counts_networks_of_ipv6(nginx: Nginx) -> None:
    balancer = {"loadBalancer": {"proxyProtocol": True}}

    def passed(*addresses: str) -> int:
        return sum(bool(_client_of(nginx, _from(address))) for address in addresses)

    with nginx.running(proxy={"rateLimit": LIMIT}, exposure=balancer):
        assert passed(*(f"2001:db8:1:2::{n:x}" for n in range(1, 9))) == 3
        assert passed(*(f"2001:db8:1:2:{n:x}:5:6:7" for n in range(1, 9))) == 0
        assert passed(*(f"2001:db8::{n:x}" for n in range(1, 9))) == 3
        assert passed(*(f"2001:db8:0:0:{n:x}::" for n in range(1, 9))) == 0
        assert passed(*(f"2001:db8:5::{n:x}" for n in range(1, 9))) == 3
        assert passed(*(f"2001:db8:5:0:{n:x}:1:1:1" for n in range(1, 9))) == 0
        assert passed(*(f"2001:db8:1:{n:x}::1" for n in range(3, 11))) == 8
        assert passed(*(f"198.51.100.{n}" for n in range(1, 9))) == 8
        assert passed(*(f"::ffff:203.0.113.{n}" for n in range(1, 9))) == 8


def test_the_service_of_a_load_balancer_preserves_the_address() -> None:
    def policy(**balancer: Any) -> object:
        objects = wanted(exposure={"loadBalancer": balancer})
        return objects["Service/shop"].body["spec"]["externalTrafficPolicy"]

    assert policy() == "Local"
    assert policy(externalTrafficPolicy="Cluster") == "Cluster"
    assert "externalTrafficPolicy" not in wanted()["Service/shop"].body["spec"]


def _allowed(**spec: Any) -> str:
    (value,) = [
        entry["value"]
        for entry in container(wanted(**spec), "Deployment/shop", "app")["env"]
        if entry["name"] == "FORWARDED_ALLOW_IPS"
    ]
    return str(value)


def test_an_app_without_a_proxy_trusts_the_http_proxy_in_front() -> None:
    direct = {"engine": "None"}
    assert _allowed(proxy=direct) == "127.0.0.1"
    assert _allowed(proxy=direct, exposure={"loadBalancer": {}}) == "127.0.0.1"
    assert "10.0.0.0/8" in _allowed(proxy=direct, exposure=BEHIND_INGRESS)
    assert "10.0.0.0/8" in _allowed()


def _problems(
    exposure: dict[str, Any], proxy: dict[str, Any] | None = None
) -> Iterator[tuple[str, Severity]]:
    facts = Facts(apis=frozenset({HTTP_ROUTE}))
    plan = derive(service(exposure=exposure, proxy=proxy), Settings(), facts)
    return ((problem.path, problem.severity) for problem in plan.problems)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{ANNOTATION}aws-load-balancer-proxy-protocol", "*"),
        (
            f"{ANNOTATION}aws-load-balancer-target-group-attributes",
            "deregistration_delay.timeout_seconds=30,proxy_protocol_v2.enabled=true",
        ),
        (f"{ANNOTATION}do-loadbalancer-enable-proxy-protocol", "true"),
        (f"{ANNOTATION}linode-loadbalancer-proxy-protocol", "v2"),
        (f"{ANNOTATION}scw-loadbalancer-proxy-protocol-v2", "true"),
        ("load-balancer.hetzner.cloud/uses-proxyprotocol", "true"),
        ("loadbalancer.openstack.org/proxy-protocol", "v2"),
        (
            "service.kubernetes.io/ibm-load-balancer-cloud-provider-enable-features",
            "proxy-protocol",
        ),
    ],
)
def test_an_annotation_for_proxy_protocol_needs_the_field(name: str, value: str) -> None:
    annotated = {"annotations": {name: value}}
    field = "spec.exposure.loadBalancer.annotations"
    assert list(_problems({"loadBalancer": annotated})) == [(field, Severity.ERROR)]
    assert not list(_problems({"loadBalancer": annotated | {"proxyProtocol": True}}))


def test_other_annotations_do_not_need_it() -> None:
    annotations = {
        f"{ANNOTATION}do-loadbalancer-enable-proxy-protocol": "false",
        f"{ANNOTATION}aws-load-balancer-target-group-attributes": "proxy_protocol_v2.enabled=false",
        f"{ANNOTATION}do-loadbalancer-protocol": "tcp",
    }
    assert not list(_problems({"loadBalancer": {"annotations": annotations}}))


def test_proxy_protocol_needs_a_proxy_and_no_http_proxy_in_front() -> None:
    field = "spec.exposure.loadBalancer.proxyProtocol"
    balancer = {"loadBalancer": {"proxyProtocol": True}}
    assert list(_problems(balancer, {"engine": "None"})) == [(field, Severity.ERROR)]
    assert list(_problems(GATEWAY | balancer)) == [(field, Severity.ERROR)]


def test_two_ways_to_the_service_are_not_both_proven() -> None:
    both = GATEWAY | {"loadBalancer": {}}
    assert list(_problems(both)) == [("spec.proxy.trustedNetworks", Severity.WARNING)]
    assert not list(_problems(both, {"trustedNetworks": ["10.1.0.0/16"]}))
