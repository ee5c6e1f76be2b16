"""The proof of a client's address: who may name the client of a request.

An address that a client can choose is worth nothing: a rate limit that counts it limits no client.
So trust follows the load balancer or proxy that is in front of the service.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fastapi_operator.api.exposure import Entry, Exposure
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.problems import Problem, Severity, Stage

# Proxies and load balancers of a cluster have private addresses. The first other address, read
# from the right, is the client's.
PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
)
# Values of an annotation that disable the feature in its name.
_DISABLED = ("", "0", "false", "none", "off", "disabled")


class Source(StrEnum):
    """The source of a client's address."""

    CONNECTION = "connection"
    HEADER = "X-Forwarded-For"
    PROXY_PROTOCOL = "PROXY protocol"


@dataclass(frozen=True)
class ClientAddress:
    """How the entry of a service learns the address of a client.

    Attributes:
        source: Where the address is, if the connection comes from one of the networks. Otherwise
            it is that of the connection.
        networks: The networks that may name a client, in canonical form.
    """

    source: Source
    networks: tuple[str, ...]


def client_address(proxy: Proxy, exposure: Exposure) -> ClientAddress:
    """Returns the proof that fits what is in front of the service.

    An HTTP proxy to which the service is attached (a Gateway or an Ingress) sets X-Forwarded-For.
    A load balancer that forwards TCP sends PROXY protocol, or preserves the address of the
    connection; it passes X-Forwarded-For as the client wrote it.
    """
    given = proxy.trusted_networks
    networks = PRIVATE_NETWORKS if given is None else tuple(map(_canonical, given))
    balancer = exposure.load_balancer
    if balancer is not None and balancer.proxy_protocol:
        return ClientAddress(Source.PROXY_PROTOCOL, networks)
    attached = _attached(exposure) and balancer is None
    if given or (given is None and attached):
        return ClientAddress(Source.HEADER, networks)
    return ClientAddress(Source.CONNECTION, ())


def address_problems(proxy: Proxy, exposure: Exposure) -> Iterator[Problem]:
    """Reports networks that are invalid, and load balancers that the proxy would misread."""
    for index, network in enumerate(proxy.trusted_networks or ()):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            yield _problem(
                f"spec.proxy.trustedNetworks[{index}]",
                f'"{network}" is not a valid CIDR',
                "use for example 10.0.0.0/8",
            )
    balancer = exposure.load_balancer
    if balancer is None:
        return
    field = "spec.exposure.loadBalancer"
    if balancer.proxy_protocol:
        if proxy.engine == "None":
            yield _problem(
                f"{field}.proxyProtocol",
                "servers of apps do not read PROXY protocol",
                "remove proxy.engine: None or proxyProtocol",
            )
        if _attached(exposure):
            yield _problem(
                f"{field}.proxyProtocol",
                "a Gateway or an Ingress does not send PROXY protocol to the service",
                "remove proxyProtocol, or gateway and ingress",
            )
        return
    announced = _announces_proxy_protocol(balancer.annotations or {})
    if announced is not None:
        yield _problem(
            f"{field}.annotations",
            f"{announced} makes the load balancer send PROXY protocol, which the service would "
            "reject as invalid HTTP",
            "set loadBalancer.proxyProtocol: true",
        )
    if _attached(exposure) and proxy.trusted_networks is None and proxy.engine != "None":
        yield _problem(
            "spec.proxy.trustedNetworks",
            "clients arrive through an HTTP proxy and also through a load balancer that forwards "
            "TCP, so X-Forwarded-For is not trusted, and requests through the HTTP proxy have its "
            "address",
            "list the networks of the HTTP proxy only, or remove loadBalancer",
            Severity.WARNING,
        )


def _attached(exposure: Exposure) -> bool:
    """Whether an HTTP proxy forwards requests to the service."""
    sections: tuple[Exposure | Entry, ...] = (exposure, *(exposure.entries or ()))
    return any(item.gateway is not None or item.ingress is not None for item in sections)


def _announces_proxy_protocol(annotations: Mapping[str, str]) -> str | None:
    """Returns the annotation with which a provider's load balancer sends PROXY protocol."""
    for name, value in annotations.items():
        plain = value.strip().lower()
        named = "proxyprotocol" in name.lower().replace("-", "").replace("_", "")
        if named and plain not in _DISABLED:
            return name
        if "proxy_protocol_v2.enabled=true" in plain or "proxy-protocol" in plain:
            return name
    return None


def _canonical(network: str) -> str:
    try:
        return str(ipaddress.ip_network(network, strict=False))
    except ValueError:
        return network


def _problem(path: str, message: str, remedy: str, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(severity=severity, stage=Stage.PLAN, path=path, message=message, remedy=remedy)
