"""The short form of ``make resilience``: changes under load lose no request.

Its name makes it the last file, which runs when the tests beside those of the node have ended.
"""

import pytest

from tests.e2e.conftest import Shop
from tests.resilience import scenarios
from tests.resilience.measure import run
from tests.resilience.scenarios import Bench, Scenario

pytestmark = pytest.mark.node

REQUESTS, RATE = 1500, 50


def rollout_and_reload(bench: Bench) -> None:
    """Changes the environment and a header at once, then stops an app."""
    bench.patch({"proxy": {"headers": {"add": [{"name": "X-Marker", "value": "reloaded"}]}}})
    scenarios.configuration_change(bench)
    scenarios.terminate(bench, scenarios.pods(bench, "app")[0])


def test_a_rollout_a_reload_and_a_termination_lose_no_request(shop: Shop) -> None:
    bench = Bench(shop.kubectl, shop.app_image, shop.namespace)
    outcome = run(bench, Scenario("short", rollout_and_reload), requests=REQUESTS, rate=RATE)
    assert not outcome.broken, outcome.report()
    assert len(outcome.answers) >= REQUESTS
    assert shop.request("GET", "/items?limit=1").headers["X-Marker"] == "reloaded"
