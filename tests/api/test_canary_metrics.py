"""A canary that is judged by the metrics that the operator reads from its pods."""

from collections import Counter
from collections.abc import Iterator

import pytest

from fastapi_operator.judge.counts import BOUNDS_SECONDS
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.metrics_page import serving
from tests.api.test_canary import (
    CANARY,
    NEW,
    canary,
    fast,
    image_of,
    in_phase,
    releases,
    until_gone,
    until_released,
)
from tests.api.test_metrics_reader import start_pod
from tests.api.world import World, eventually

__all__ = ("fast",)

SERIES = "fastapi_proxy_version_request_duration_seconds"
# Requests of each version between two looks.
REQUESTS = {"canary": 60, "stable": 540}


class Proxy:
    """The metrics port of a proxy: with each look, both versions have had more requests.

    Attributes:
        failing: The share of the canary's requests that fail.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.failing = 0.0
        self.counts: Counter[tuple[str, int, str, str]] = Counter()

    def page(self) -> str:
        """Returns the page, as nginx writes it."""
        found = canary(self.world)
        if found.get("step"):
            for version, requests in REQUESTS.items():
                failed = round(requests * self.failing) if version == "canary" else 0
                key = (found["id"], found["step"], version)
                self.counts[(*key, "5xx")] += failed
                self.counts[(*key, "2xx")] += requests - failed
        lines = [f"# TYPE {SERIES} histogram"]
        for (identity, step, version, status), count in self.counts.items():
            labels = f'canary="{identity}",step="{step}",version="{version}",status="{status}"'
            for bound in BOUNDS_SECONDS:
                # All of them take 31 ms.
                within = count if bound >= 0.05 else 0
                lines.append(f'{SERIES}_bucket{{{labels},le="{bound}"}} {within}')
            lines.append(f'{SERIES}_bucket{{{labels},le="+Inf"}} {count}')
            lines.append(f"{SERIES}_sum{{{labels}}} {0.031 * count}")
            lines.append(f"{SERIES}_count{{{labels}}} {count}")
        return "\n".join(lines) + "\n"


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    """A proxy pod, whose metrics port is a real server."""
    found = Proxy(world)
    with serving(found.page) as port:
        start_pod(world, "shop-proxy-1", Part.PROXY, port=port)
        yield found


def apply(world: World, image: str) -> None:
    world.apply(image=image, rollout={"canary": CANARY})


def test_a_failing_version_is_aborted_by_its_counts(world: World, proxy: Proxy) -> None:
    world.start(build=build_desired_state)
    apply(world, "registry.test/shop:1")
    world.until_ready()
    proxy.failing = 0.2
    apply(world, NEW)
    in_phase(world, "Aborted")
    found = canary(world)
    assert found["canary"]["errors"] == found["canary"]["requests"] // 5 > 0
    assert found["stable"]["errors"] == 0
    assert found["canary"]["p95Milliseconds"] <= 50
    assert world.condition("Stalled")["message"].startswith("errors 20 % of ")
    until_gone(world)
    assert releases(world) == ["registry.test/shop:1"]


def test_a_version_that_is_not_worse_is_released_by_its_counts(world: World, proxy: Proxy) -> None:
    world.start(build=build_desired_state)
    apply(world, "registry.test/shop:1")
    world.until_ready()
    apply(world, NEW)
    found = in_phase(world, "Promoting", within=60)
    assert found["canary"]["requests"] >= 200
    assert found["canary"]["errors"] == 0
    assert proxy.counts
    until_released(world, NEW)
    assert image_of(world) == NEW


def test_it_waits_and_names_the_reason_if_no_proxy_can_be_read(world: World) -> None:
    start_pod(world, "shop-proxy-1", Part.PROXY, port=9)
    world.start(build=build_desired_state)
    apply(world, "registry.test/shop:1")
    world.until_ready()
    apply(world, NEW)
    in_phase(world, "Progressing")
    reason = "the operator cannot read the proxy's metrics: no connection to its metrics port"
    eventually(lambda: reason in canary(world).get("verdict", ""), within=40)
    assert canary(world)["percent"] == 10
