"""What every engine of the proxy has: its files and scripts, and the words of its answers."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi_operator.api.proxy import Header, Headers, Proxy
from fastapi_operator.resources.environment import PRIVATE_NETWORKS

# Each static path of the URL is a directory below this one.
STATIC_ROOT = "/srv/www"
TLS_DIRECTORY = "/etc/proxy-tls"

# What browsers should not do with an answer, unless the app says otherwise.
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Frame-Options": "SAMEORIGIN",
}
# A year; only where clients speak TLS.
STRICT_TRANSPORT_SECURITY = "max-age=31536000"


@dataclass(frozen=True)
class Engine:
    """A program that is the proxy.

    Attributes:
        name: Name of its container.
        image: Its image.
        files: Its configuration, by file name.
        directory: Where it reads them.
        run_directory: Where it keeps what its processes share.
        cache_directory: Where it keeps answers; None where it has no cache.
        start: Script that runs it in the foreground and lets it finish requests at the end.
        reload: Script of the sidecar that tests a changed configuration and makes it take it.
    """

    name: str
    image: str
    files: Mapping[str, str]
    directory: str
    run_directory: str
    cache_directory: str | None
    start: str
    reload: str


def security_headers(proxy: Proxy) -> Mapping[str, str]:
    """Headers to set where neither the app nor the spec sets them."""
    headers = proxy.headers or Headers()
    if headers.security is False:
        return {}
    given = {header.name.lower() for header in headers.add or ()}
    return {name: value for name, value in SECURITY_HEADERS.items() if name.lower() not in given}


def transport_security(proxy: Proxy, *, encrypted: bool) -> str:
    """Value of Strict-Transport-Security; empty where it must not be set."""
    headers = proxy.headers or Headers()
    given = {header.name.lower() for header in headers.add or ()}
    if headers.security is False or "strict-transport-security" in given or not encrypted:
        return ""
    return STRICT_TRANSPORT_SECURITY


def added_headers(proxy: Proxy) -> tuple[Header, ...]:
    """Headers that the spec adds."""
    return tuple((proxy.headers or Headers()).add or ())


def trusted_networks(proxy: Proxy) -> tuple[str, ...]:
    """Networks of load balancers, in their canonical form."""
    networks = proxy.trusted_networks
    given = PRIVATE_NETWORKS.split(",") if networks is None else networks
    return tuple(str(ipaddress.ip_network(network, strict=False)) for network in given)
