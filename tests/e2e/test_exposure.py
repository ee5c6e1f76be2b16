"""Clients outside the cluster reach the shop through a real Gateway and a real Ingress."""

import re
import shlex
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import traefik
from tests.demo.targets import ROOT
from tests.e2e.conftest import NAMESPACE, Shop
from tests.kubectl import eventually

HOST = "shop.example.com"


@pytest.fixture(scope="module")
def edge(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Traefik that serves this cluster's Gateways and Ingresses."""
    for body in traefik.definitions(traefik.GATEWAY_API, "config/crd/standard"):
        shop.kubectl("apply", "--server-side", "-f", "-", stdin=traefik.text(body))
    config = shop.kubectl.kubeconfig
    assert config is not None
    log = tmp_path_factory.mktemp("traefik") / "log"
    with traefik.running(Path(config), log) as port:
        gateway = traefik.gateway(NAMESPACE, port, "*.example.com")
        shop.kubectl.apply(traefik.GATEWAY_CLASS, traefik.INGRESS_CLASS, gateway)
        yield port
        shop.patch({"exposure": None})
        shop.wait_until_ready()


def status(port: int, path: str, host: str = HOST) -> int:
    """The status of one request at the edge."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    "way",
    [
        {"gateway": {"name": "public"}, "ingress": None},
        {"ingress": {"className": "traefik"}, "gateway": None},
    ],
    ids=["gateway", "ingress"],
)
def test_outside_clients_reach_the_host_but_no_private_path(
    shop: Shop, edge: int, way: dict[str, object]
) -> None:
    exposure = {"hosts": [HOST], "privatePaths": ["/docs"], **way}
    # The operator learns within a minute that the cluster serves a new API.
    shop.patch({"exposure": exposure})
    eventually(
        lambda: shop.condition("ExposureReady").get("status") == "True",
        seconds=150,
        what="ExposureReady",
    )
    assert shop.get()["status"]["url"] == f"http://{HOST}"
    eventually(lambda: status(edge, "/openapi.json") == 200, seconds=60, what="the host answers")
    # A mounted configuration reaches the proxy's pods within a minute and a half.
    eventually(lambda: status(edge, "/docs") == 404, seconds=150, what="/docs is private")
    assert status(edge, "/openapi.json", host="other.example.com") == 404


def test_the_commands_of_the_page_about_the_proxy_work(shop: Shop) -> None:
    page = (ROOT / "docs/parts/proxy.md").read_text()
    commands = re.findall(r"^kubectl (.+)$", page, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        arguments = shlex.split(command.replace("NAME", shop.name))
        shop.kubectl("-n", NAMESPACE, *arguments)
