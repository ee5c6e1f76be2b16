"""The interface of the proxy's engines: files, scripts and the values of their templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.proxy import PRIVATE_HEADERS, Headers, Proxy
from fastapi_operator.parts import Part
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning.client_address import Source, client_address
from fastapi_operator.tuning.proxy import ProxyPlan

# The volume with the configuration.
CONFIG = "config"
# Each static path of the URL is a directory below this one.
STATIC_ROOT = "/srv/www"
TLS_DIRECTORY = "/etc/proxy-tls"

# Headers that restrict browsers, unless the app sets its own.
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Frame-Options": "SAMEORIGIN",
}
# One year; only if clients use TLS.
STRICT_TRANSPORT_SECURITY = "max-age=31536000"


@dataclass(frozen=True)
class Engine:
    """A program that serves as the proxy.

    Attributes:
        name: Name of its container.
        image: Its image.
        files: Its configuration, by file name.
        config_directory: The directory from which it reads them.
        run_directory: The directory of sockets and process ids.
        cache_directory: The directory of cached responses; None if it has no cache.
        start: Script that runs it in the foreground and lets it finish requests at the end.
        reload: Script of the sidecar that tests a changed configuration and makes it read it.
    """

    name: str
    image: str
    files: Mapping[str, str]
    config_directory: str
    run_directory: str
    cache_directory: str | None
    start: str
    reload: str


def template_values(inputs: Inputs, plan: ProxyPlan) -> dict[str, Any]:
    """Returns the values for the configuration templates of every engine.

    ``proxy`` is the section of the spec, so that a template can read an option that needs no
    number from there.
    """
    proxy, exposure = inputs.spec.proxy or Proxy(), inputs.plan.exposure
    headers, ports = proxy.headers or Headers(), Part.PROXY.record.ports
    address = client_address(proxy, inputs.spec.exposure or Exposure())
    return {
        "name": inputs.name,
        "proxy": proxy,
        "app": inputs.name_of(Part.APP),
        "pods": inputs.name_of(Part.APP, "pods"),
        "namespace": inputs.namespace,
        "app_port": inputs.app_port,
        "port": ports["http"],
        "tls_port": ports["https"] if inputs.terminates_tls else None,
        "tls_directory": TLS_DIRECTORY,
        "private_port": ports["private"],
        "entry_ports": [entry.port for entry in inputs.plan.entries],
        "hosts": exposure.hosts if exposure else (),
        "root_path": inputs.root_path,
        "trusted_networks": address.networks,
        "trusts_header": address.source is Source.HEADER,
        "proxy_protocol": address.source is Source.PROXY_PROTOCOL,
        "default_headers": _security_headers(headers),
        "strict_transport_security": _transport_security(
            headers,
            encrypted=(exposure is not None and exposure.encrypted)
            or any(it.entry.tls for it in inputs.plan.entries),
        ),
        "added_headers": headers.add or (),
        "private_headers": _private_headers(proxy),
        "static_root": STATIC_ROOT,
        "routes": plan.routes,
        **plan.numbers(),
    }


def _private_headers(proxy: Proxy) -> tuple[str, ...]:
    """Headers that mark a request whose response must not be cached."""
    given = proxy.cache.private_headers if proxy.cache else None
    return PRIVATE_HEADERS if given is None else given


def _security_headers(headers: Headers) -> Mapping[str, str]:
    """Headers to set if neither the app nor the spec sets them."""
    if headers.security is False:
        return {}
    given = _names(headers)
    return {name: value for name, value in SECURITY_HEADERS.items() if name.lower() not in given}


def _transport_security(headers: Headers, *, encrypted: bool) -> str:
    """Value of Strict-Transport-Security; empty if it must not be set."""
    given = "strict-transport-security" in _names(headers)
    wanted = encrypted and not given and headers.security is not False
    return STRICT_TRANSPORT_SECURITY if wanted else ""


def _names(headers: Headers) -> set[str]:
    return {header.name.lower() for header in headers.add or ()}
