"""The course of a canary under load: judged, decided by people, disturbed. No request is lost.

The app is the demo's shop in an image that makes a version worse by its environment and names its
pod in each response, so that the client knows which version served it.
``RATE`` is the number of requests per second.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.full.canary.course import (
    COURSE,
    RATE,
    READY_SECONDS,
    aborted,
    another,
    canary,
    command,
    evict,
    kill_operator,
    long,
    released,
    roll_out,
    until_in_step,
    worse,
)
from tests.full.canary.rollouts import FIVE_MINUTES, Seen
from tests.kubectl import condition, eventually
from tests.resilience.scenarios import Bench, pods

pytestmark = [pytest.mark.node, pytest.mark.timeout(1200)]

# The bad version may see one in a hundred requests from its apply until five minutes later.
_MOST_SEEN = 0.01 * FIVE_MINUTES * RATE
_STOPPED_SECONDS = 30


def nothing_is_lost(seen: Seen) -> None:
    """Fails if a request was lost, a write was not done once, or the database had no room."""
    assert (seen.lost, seen.wrong) == ([], 0)
    assert seen.connections <= seen.budget


def image_of(shop: Bench) -> str:
    """The image of the app's Deployment."""
    live = shop.kubectl.json("get", "deployment", shop.name, "-n", shop.namespace)
    (app,) = (c for c in live["spec"]["template"]["spec"]["containers"] if c["name"] == "app")
    return str(app["image"])


def test_a_good_version_is_promoted_without_a_lost_request(shop: Bench) -> None:
    patch = another(shop)
    seen = roll_out(shop, "good image", patch, released, requests=round(100 * RATE))
    nothing_is_lost(seen)
    assert seen.failed == 0
    assert len(seen.of_canary) >= 3 * COURSE["minRequests"]
    assert image_of(shop) == patch["image"]


def test_a_version_with_errors_is_stopped_within_seconds(shop: Bench) -> None:
    seen = roll_out(shop, "20 % errors", worse(errors=0.2), aborted)
    nothing_is_lost(seen)
    assert "errors" in canary(shop)["verdict"]
    assert seen.failed > 0
    assert seen.stopped_seconds <= _STOPPED_SECONDS
    assert len(seen.of_canary) <= _MOST_SEEN


def test_people_abort_and_promote_in_mid_course(shop: Bench) -> None:
    def decide(what: str, shop: Bench) -> None:
        # The proxies have the share when their sidecars have reloaded.
        eventually(
            lambda: canary(shop).get("canary", {}).get("requests"),
            seconds=READY_SECONDS,
            what="requests of the canary",
        )
        command(shop, what)

    before, patch = image_of(shop), another(shop)
    abort = functools.partial(decide, "abort")
    left = roll_out(shop, "aborted by a person", patch, aborted, meanwhile=abort)
    assert image_of(shop) == before
    promote = functools.partial(decide, "promote")
    # The aborted version is released all the same.
    shop.patch({"image": before})
    eventually(lambda: released(shop), seconds=READY_SECONDS, what="back", pause=2)
    taken = roll_out(shop, "promoted by a person", patch, released, meanwhile=promote)
    assert image_of(shop) == patch["image"]
    for seen in (left, taken):
        nothing_is_lost(seen)
        assert seen.failed == 0
        assert seen.of_canary


@long
@pytest.mark.parametrize(
    ("patch", "end"),
    [(another, released), (lambda _: worse(errors=0.2), aborted)],
    ids=["good", "bad"],
)
def test_an_operator_killed_in_each_state_changes_nothing(
    shop: Bench, patch: Callable[[Bench], dict[str, Any]], end: Callable[[Bench], bool]
) -> None:
    name = f"operator killed in each state, {end.__name__}"
    seen = roll_out(shop, name, patch(shop), end, at_each_state=kill_operator)
    nothing_is_lost(seen)
    # The new operator first has to get the lease of the killed one.
    assert len(seen.of_canary) <= _MOST_SEEN or end is released


@long
def test_a_spec_that_changes_in_mid_course_is_released_in_the_end(shop: Bench) -> None:
    """First a field of the proxy, then another version."""
    marker = f"{time.time_ns()}"

    def change(shop: Bench) -> None:
        until_in_step(shop, 1)
        first = canary(shop)["id"]
        shop.patch({"proxy": {"headers": {"add": [{"name": "X-Marker", "value": marker}]}}})
        until_in_step(shop, 2)
        assert canary(shop)["id"] == first
        shop.patch(worse(changed=time.time()))
        # A migration may run before it.
        eventually(
            lambda: canary(shop).get("id") not in (None, first),
            seconds=READY_SECONDS,
            what="another canary",
        )

    patch = another(shop)
    seen = roll_out(shop, "spec changed twice", patch, released, meanwhile=change)
    nothing_is_lost(seen)
    assert seen.failed == 0
    assert shop.request("GET", "/items?limit=1").headers["X-Marker"] == marker
    assert image_of(shop) == patch["image"]


@long
def test_pods_that_are_evicted_lose_no_request(shop: Bench) -> None:
    """Of both versions and of the proxy, as when their nodes are drained."""

    def drain(shop: Bench) -> None:
        until_in_step(shop, 1)
        for part in ("canary", "app", "proxy", "canary"):
            for pod in pods(shop, part):
                evict(shop, pod)

    seen = roll_out(shop, "pods evicted", another(shop), released, meanwhile=drain)
    nothing_is_lost(seen)
    assert seen.failed == 0


@long
def test_a_held_version_gets_no_request_until_a_person_aborts_it(shop: Bench) -> None:
    def is_held(shop: Bench) -> bool:
        return condition(shop.get(), "Stalled").get("reason") == "CanaryFailed"

    def decide(shop: Bench) -> None:
        eventually(lambda: is_held(shop), seconds=READY_SECONDS, what="CanaryFailed", pause=1)
        assert canary(shop)["percent"] == 0
        assert pods(shop, "canary")
        command(shop, "abort")

    holding = {"rollout": {"canary": {**COURSE, "onFailure": "Hold"}}}
    seen = roll_out(
        shop, "held, then aborted", worse(errors=0.2) | holding, aborted, meanwhile=decide
    )
    nothing_is_lost(seen)
    assert len(seen.of_canary) <= _MOST_SEEN
