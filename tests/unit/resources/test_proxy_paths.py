"""Private paths and the paths that the app sees, by real proxies in front of a real app.

Two parsers read each path: the proxy's, which decides on privacy, and the app's, which routes.
"""

import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.resources import raw
from tests.unit.resources.caddy import Caddy
from tests.unit.resources.nginx import ENTRY_PORT, Nginx
from tests.unit.resources.operands import eventually, listens
from tests.unit.resources.web import App

PRIVATE = {"privatePaths": ["/admin", "/metrics", "/team/red/keys"]}
ENGINES = ("Nginx", "Caddy")

# Each is a spelling of a separator, a dot segment or an ending that some parser resolves.
SEPARATORS = ("/", "//", "///", "%2f", "%2F", "/%2f", "\\", "%5c", "%252f", "/./", "/;/", ";a=1/")
DOTS = ("..", ".", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2e", "%252e%252e", "..;", "..%00", "...")
OVERLONG = ("%c0%ae%c0%ae", "%e0%80%ae", "%c0%af", "%uff0e", "%ef%bc%8e%ef%bc%8e", "%c0%2e")
ENDINGS = (
    "",
    "/",
    "%0a",
    "%0d",
    "%00",
    "%20",
    "%09",
    "?",
    "?/../x",
    "#",
    "#/../x",
    ";x",
    "%3f",
    "%23",
    ".",
)
NAMES = (
    "admin",
    "%61dmin",
    "ADMIN",
    "adm%69n",
    "metrics",
    "metric%73",
    "team/red/keys",
    "team/%72ed/keys",
)
OTHERS = ("x", "files", "items", "shop", "%73hop", "a", "team", "red")


def _fuzz(count: int) -> Iterator[str]:
    """Yields targets of few pieces, always the same ones."""
    random.seed(23)
    pieces = (*DOTS, *DOTS, *OVERLONG, *NAMES, *NAMES, *OTHERS, "")
    for _ in range(count):
        separators = random.choices(SEPARATORS, (12, 3, 1, 2, 2, 1, 1, 1, 1, 2, 1, 1), k=6)
        chosen = random.choices(pieces, k=random.randint(1, 6))
        path = "".join(s + p for s, p in zip(separators, chosen, strict=False))
        ending = random.choices(ENDINGS, (8, *(1 for _ in ENDINGS[1:])))[0]
        yield ("" if path.startswith(("/", "%", "\\")) else "/") + path + ending
    for name in NAMES:
        for ending in ENDINGS:
            yield f"/{name}{ending}"
            yield f"/shop/{name}{ending}"
            yield f"/shop/shop/{name}{ending}"
            yield f"/shop%2F{name}{ending}"
            yield f"/files/../{name}{ending}"
            yield f"/{name}/x/../../../y{ending}"
            yield f"/{name}/..%2fx{ending}"
            yield f"http://shop.example.com/x/..//{name}{ending}"
            yield f"http://shop.example.com/{name}{ending}"


PUBLIC = (
    "/",
    "/items/1",
    "/items/1?next=/../admin&x=%2e%2e/",
    "/files/a%2Fb",
    "/files/a%2fb//c",
    "/files//a/",
    "/files/a;v=1,2",
    "/files/.hidden/...",
    "/files/..a/b..",
    "/files/100%25",
    "/files/%252e%252e/x",
    "/files/a+b%20c",
    "/files/caf%C3%A9",
    "/files/%c0%ae",
    "/files/a%3Fb%23c",
    "/files/!$&'()*+,:@~_-",
    "/files/admin",
    "/administration",
    "/files/a%5Cb",
)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def _proxy(engine: str, nginx: Nginx, caddy: Caddy, port: int) -> Nginx | Caddy:
    proxy = nginx if engine == "Nginx" else caddy
    proxy.pod.ports[8000] = port
    return proxy


@pytest.mark.parametrize(
    "server",
    [{}, {"rootPath": "/shop"}, {"rootPath": "/shop", "engine": "Granian"}],
    ids=["plain", "root", "granian"],
)
def test_no_spelling_of_a_path_reaches_a_private_route(
    engine: str, server: dict[str, Any], nginx: Nginx, caddy: Caddy, tmp_path: Path
) -> None:
    spec = {"server": server, "exposure": {"hosts": ["shop.example.com"], "ingress": {}} | PRIVATE}
    with raw.served(tmp_path / "app.log", server=server) as port:
        proxy = _proxy(engine, nginx, caddy, port)
        assert raw.send(port, "/admin/x").seen["area"] == "private"
        with proxy.running(**spec):
            passed = set()
            for target in _fuzz(1500):
                response = raw.send(proxy.pod.port(8080), target)
                assert response.seen.get("area") != "private", (target, response)
                assert response.status in (200, 307, 400, 404), (target, response)
                passed |= {target} if response.status == 200 else set()
            assert len(passed) > 50, "the fuzz also has public paths"
            for target in PUBLIC:
                response = raw.send(proxy.pod.port(8080), target)
                assert (response.status, response.seen.get("area")) == (200, "public"), target


ENTRIES: dict[str, Any] = {
    "hosts": ["shop.example.com"],
    "ingress": {},
    "entries": [
        {
            "name": "admin",
            "hosts": ["admin.example.com"],
            "paths": ["/admin"],
            "ingress": {"className": "internal"},
        }
    ],
}


@pytest.mark.parametrize("server", [{}, {"rootPath": "/shop"}], ids=["plain", "root"])
def test_an_entry_opens_a_private_path_at_its_own_port_only(
    engine: str, server: dict[str, Any], nginx: Nginx, caddy: Caddy, tmp_path: Path
) -> None:
    root = server.get("rootPath", "")
    with raw.served(tmp_path / "app.log", server=server) as port:
        proxy = _proxy(engine, nginx, caddy, port)
        with proxy.running(server=server, exposure=ENTRIES | PRIVATE):
            main, entry = proxy.pod.port(8080), proxy.pod.port(ENTRY_PORT)
            eventually(lambda: listens(entry), "the port of the entry is open")
            for path in ("/admin", "/admin/x?a=/b"):
                response = raw.send(entry, root + path)
                assert (response.status, response.seen.get("area")) == (200, "private"), path
                # A client can write every host.
                assert proxy.get(root + path, Host="admin.example.com").status == 404
            for path in ("/", "/items", "/administration", "/metrics", "/team/red/keys"):
                assert raw.send(entry, root + path).status == 404, path
            for target in PUBLIC:
                assert raw.send(main, target).status == 200, target
            for target in _fuzz(300):
                at_main, at_entry = raw.send(main, target), raw.send(entry, target)
                assert at_main.seen.get("area") != "private", target
                assert at_entry.status in (307, 400, 404) or "admin" in str(at_entry.seen), target


@pytest.mark.parametrize("named", [443, ENTRY_PORT], ids=["balancer", "entry"])
def test_no_port_in_proxy_protocol_opens_or_closes_a_path(
    engine: str, named: int, nginx: Nginx, caddy: Caddy, app: App
) -> None:
    proxy = _proxy(engine, nginx, caddy, app.port)
    balanced = {"loadBalancer": {"proxyProtocol": True}, "privatePaths": ["/admin"]}
    with proxy.running(exposure=balanced | {"entries": [{"name": "admin", "paths": ["/admin"]}]}):
        port = proxy.pod.ports.get(named, named)
        for path, status in (("/items", b" 200 "), ("/admin", b" 404 ")):
            head = f"PROXY TCP4 198.51.100.7 127.0.0.1 1 {port}\r\nGET {path} HTTP/1.0\r\nHost: x"
            with socket.create_connection(("127.0.0.1", proxy.pod.port(8080)), timeout=5) as client:
                client.sendall(f"{head}\r\n\r\n".encode())
                assert status in client.recv(100).partition(b"\r\n")[0], path


# Headers that the proxy sets, or that belong to one connection.
OWN = {
    "connection",
    "keep-alive",
    "host",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "x-request-id",
    "x-request-start",
    "via",
}
HEADERS = (
    ("access_token", "a"),
    ("X-Case", "Kept"),
    ("X-Twice", "1"),
    ("X-Twice", "2"),
    ("Cookie", "a=1; b=2"),
    ("X-Empty", ""),
    ("X-Text", "caf\xe9; \"quoted\", 'x' $host %41"),
    ("Authorization", "Bearer a.b-c"),
    ("Accept-Encoding", "br"),
    ("User-Agent", "test"),
    ("Range", "bytes=0-1"),
    ("If-None-Match", '"x"'),
)


def _received(response: raw.Response) -> object:
    assert response.status == 200, response
    seen = dict(response.seen)
    headers = [pair for pair in seen.pop("headers") if pair[0] not in OWN]
    return seen, sorted(headers)


@pytest.mark.parametrize("root", ["", "/shop", "/shop/"])
def test_the_app_sees_what_it_sees_without_a_proxy(
    engine: str, root: str, nginx: Nginx, caddy: Caddy, tmp_path: Path
) -> None:
    # Caddy drops headers with an underscore.
    sent = HEADERS if engine == "Nginx" else tuple(h for h in HEADERS if "_" not in h[0])
    server = {"rootPath": root} if root else {}
    prefix = root.rstrip("/")
    with raw.served(tmp_path / "app.log", server=server) as port:
        proxy = _proxy(engine, nginx, caddy, port)
        # Without an exposure, for clients in the cluster.
        with proxy.running(server=server):
            entry = proxy.pod.port(8080)
            for target in PUBLIC:
                direct = _received(raw.send(port, target, headers=sent))
                assert _received(raw.send(entry, prefix + target, headers=sent)) == direct
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                content = {"method": method, "headers": sent, "body": b"a\r\n\x00b" * 5000}
                direct = _received(raw.send(port, "/echo?a=%2F", **content))
                assert _received(raw.send(entry, f"{prefix}/echo?a=%2F", **content)) == direct


@pytest.mark.parametrize("upgrade", ["h2c", "foo", "TLS/1.2, websocket"])
def test_only_websockets_are_upgraded(
    engine: str, upgrade: str, nginx: Nginx, caddy: Caddy, tmp_path: Path
) -> None:
    headers = (
        ("Connection", "Upgrade, HTTP2-Settings, close"),
        ("Upgrade", upgrade),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    )
    with raw.served(tmp_path / "app.log") as port:
        proxy = _proxy(engine, nginx, caddy, port)
        with proxy.running():
            response = raw.send(
                proxy.pod.port(8080), "/echo", method="POST", headers=headers, body=b"kept"
            )
    assert (response.status, response.seen["body"]) == (200, "kept")
    assert "upgrade" not in dict(response.seen["headers"])


def test_a_streaming_path_can_have_a_parameter(nginx: Nginx) -> None:
    nginx.written(proxy={"streamingPaths": ["/chats/{chat_id}/stream"]})
    text = (nginx.pod.paths["/etc/nginx"] / "nginx.conf").read_text()
    location = text.partition("location ~ ^/chats/[^/]+/stream(/|$) {")[2].partition("}")[0]
    assert "proxy_buffering off;" in location
