"""A running Deployment is taken over by the steps of the page, under load."""

import time
from pathlib import Path

import pytest

from tests.docs import blocks
from tests.full.conftest import Platform
from tests.full.recording import record
from tests.full.test_pages import chosen, environment, words
from tests.full.traffic import traffic
from tests.kubectl import eventually

pytestmark = pytest.mark.node

PAGE = "docs/take-over.md"


def test_a_running_deployment_is_taken_over_without_a_lost_request(
    platform: Platform, tmp_path: Path
) -> None:
    known, replaced = environment(platform), words()
    first, *steps = chosen(PAGE)
    blocks.run([first], tmp_path, environment=known, words=replaced)
    platform.kubectl("rollout", "status", "deployment/shop", "--timeout=90s")
    old = platform.kubectl.json("get", "service", "shop")
    url = f"http://{old['spec']['clusterIP']}/"
    # Its pods have no probe, so that they count as ready before they listen.
    eventually(lambda: _answers(url), seconds=60, what="all old pods answer")

    with traffic(url) as fresh, traffic(url, keep=True) as kept:
        time.sleep(2)
        blocks.run(steps, tmp_path, environment=known, words=replaced)
        # Until the old pods have gone, and for a while without them.
        eventually(
            lambda: not platform.kubectl.exists("pods", "--selector", "app=shop"),
            seconds=90,
            what="the old pods are gone",
        )
        time.sleep(5)

    new = platform.kubectl.json("get", "service", "shop")
    assert new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert not platform.kubectl.exists("deployment", "shop")
    record(
        "take over",
        "| clients | requests | lost | connection found closed, request repeated |",
        [
            f"| {name} | {len(seen)} | {len(seen.lost)} | {sum(one.again for one in seen)} |"
            for name, seen in (("a connection per request", fresh), ("kept connections", kept))
        ],
    )
    for seen in (fresh, kept):
        assert seen.lost == []
        assert len(seen) > 500
        assert seen[-1].seconds > 5


def _answers(url: str) -> bool:
    with traffic(url) as seen:
        time.sleep(1)
    return seen.lost == []
