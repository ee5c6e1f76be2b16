"""Private paths and the paths that the app sees, by real proxies in front of a real app.

Two parsers read each path: the proxy's, which decides on privacy, and the app's, which routes.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.resources import raw
from tests.unit.resources.caddy import Caddy
from tests.unit.resources.nginx import Nginx

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
