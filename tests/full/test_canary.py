"""The page's canary by route weights, through a real Gateway, under load."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests import traefik
from tests.cluster import buildah, images
from tests.docs import blocks
from tests.full.conftest import Platform
from tests.full.recording import record
from tests.full.test_pages import chosen, environment
from tests.full.traffic import Traffic, traffic
from tests.kubectl import eventually

pytestmark = pytest.mark.node

PAGE = "docs/out-of-scope.md"
HOST = "shop.example.com"
_NEXT = "registry.example.com/shop:1.5.0"
_RECIPE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY main.py /app/shop/main.py
"""


@pytest.fixture
def next_image(cluster: Platform, tmp_path: Path) -> None:
    """The next version of the example's image: it greets in another way."""
    (hello,) = images.build(["hello"])
    greeting = (blocks.ROOT / "tests/e2e/hello/main.py").read_text()
    (tmp_path / "main.py").write_text(greeting.replace("Hello World", "Hello again"))
    (tmp_path / "Dockerfile").write_text(_RECIPE)
    built = "localhost/fastapi-operator/next:latest"
    buildah.build(
        built,
        dockerfile=tmp_path / "Dockerfile",
        context=tmp_path,
        arguments={"BASE_IMAGE": hello.references[0]},
        log=tmp_path / "build.log",
    )
    buildah.save(built, tmp_path / "next.tar", _NEXT)
    cluster.node.load_images([str(tmp_path / "next.tar")])


def share(seen: Traffic) -> float:
    """Returns the share of responses from the next version."""
    bodies = Counter(answer.body for answer in seen)
    assert sum(bodies.values()) > 500
    return sum(n for body, n in bodies.items() if b"again" in body) / bodies.total()


def test_a_canary_gets_its_share_and_takes_over_without_a_lost_request(
    platform: Platform, next_image: None, tmp_path: Path
) -> None:
    kubectl, known = platform.kubectl, environment(platform)
    start, promotion = chosen(PAGE)
    for body in traefik.definitions(traefik.GATEWAY_API, "config/crd/standard"):
        kubectl("apply", "--server-side", "-f", "-", stdin=traefik.text(body))
    platform.install()
    assert kubectl.kubeconfig
    with traefik.running(kubectl.kubeconfig, tmp_path / "traefik.log") as port:
        kubectl.apply(traefik.GATEWAY_CLASS, traefik.gateway("default", port, "*.example.com"))
        page = tmp_path / "page"
        page.mkdir()
        blocks.run([start], page, environment=known, words={})
        url = f"http://127.0.0.1:{port}/"
        with traffic(url, host=HOST) as probe:
            eventually(
                lambda: probe and probe[-1].outcome == "200", seconds=60, what="the route answers"
            )
        with traffic(url, host=HOST, pause=0.005) as canary:
            time.sleep(15)
        with traffic(url, host=HOST) as promoted:
            blocks.run([promotion], page, environment=known, words={})
            time.sleep(5)
        with traffic(url, host=HOST) as after:
            time.sleep(10)
    record(
        "canary",
        "| | requests | lost | served by the next version |",
        [
            f"| {name} | {len(seen)} | {len(seen.lost)} | {share(seen):.1%} |"
            for name, seen in (
                ("at a weight of 5 in 100", canary),
                ("while it is promoted", promoted),
                ("afterwards", after),
            )
        ],
    )
    assert 0.03 < share(canary) < 0.07
    assert share(after) == 1
    for seen in (canary, promoted, after):
        assert seen.lost == []
