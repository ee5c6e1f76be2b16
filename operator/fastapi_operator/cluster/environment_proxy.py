"""The proxy that the environment names for a URL: HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

Entries of NO_PROXY have the meaning that kubectl and curl give them. Python's own functions ignore
networks (``10.0.0.0/8``) and ``*.example.com``.
"""

import ipaddress
from urllib import request
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_of(url: str) -> str | None:
    """Returns the URL of the proxy for requests to a URL; None means a direct connection."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    proxies = request.getproxies()
    proxy = proxies.get(parts.scheme)
    if not proxy or not host or _is_local(host):
        return None
    port = parts.port or _PORTS.get(parts.scheme)
    entries = (entry.strip() for entry in proxies.get("no", "").lower().split(","))
    if any(_covers(entry, host, port) for entry in entries if entry):
        return None
    # Adds the exceptions in the system's settings, for example of macOS.
    return None if request.proxy_bypass(host) else proxy


def _is_local(host: str) -> bool:
    """Whether it is this machine, which no proxy can reach."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY covers a host: all, a network, an address or a domain."""
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, of_port = _split_port(entry)
    if of_port is not None and of_port != port:
        return False
    if address is not None:
        return address == _address(name)
    domain = name.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _split_port(entry: str) -> tuple[str, int | None]:
    """Returns name and port of an entry: ``name``, ``name:443``, ``::1`` or ``[::1]:443``."""
    if _address(entry) is not None:
        return entry, None
    name, separator, port = entry.rpartition(":")
    name, number = (name, int(port)) if separator and port.isdigit() else (entry, None)
    return name.strip("[]"), number


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
