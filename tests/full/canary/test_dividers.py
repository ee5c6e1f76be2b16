"""Without nginx, a bad version is aborted and a good one released.

No request is lost, apart from those that Caddy itself drops when it reloads (docs/parts/proxy.md).

``DIVIDERS_RATE`` is the number of requests per second.
"""

from pathlib import Path

import pytest

from tests.full.canary import dividers
from tests.full.canary.conftest import GOOD_IMAGE, Platform
from tests.full.canary.course import aborted, canary, long, released, worse
from tests.full.canary.dividers import CADDY, GATEWAY, STEPS, Divider
from tests.full.canary.rollouts import Seen
from tests.resilience.client import BROKEN
from tests.resilience.scenarios import Bench

pytestmark = [long, pytest.mark.node, pytest.mark.timeout(1800)]

_STOPPED_SECONDS = 60
# Caddy drops connections that are just being opened when it reloads; each step is a reload.
_MOST_DROPPED = {CADDY.name: 2}


def nothing_is_lost(divider: Divider, seen: Seen) -> None:
    """Fails if a request was lost, but for a few new connections that the divider itself drops."""
    dropped = [one for one in seen.lost if one.new and one.ending.outcome == BROKEN]
    assert seen.lost == dropped
    assert len(dropped) <= _MOST_DROPPED.get(divider.name, 0)


@pytest.mark.parametrize("divider", [GATEWAY, CADDY], ids=["gateway", "caddy"])
def test_a_bad_version_is_aborted_and_a_good_one_released(
    platform: Platform, divider: Divider, tmp_path: Path
) -> None:
    bench = Bench(
        platform.kubectl,
        platform.image,
        divider.namespace,
        images=(platform.image, GOOD_IMAGE),
    )
    with dividers.running(divider, bench, tmp_path) as roll_out:
        bad = roll_out("20 % errors", worse(errors=0.2), aborted)
        verdict = canary(bench)["verdict"]
        good = roll_out("good image", {"image": GOOD_IMAGE, **worse()}, released)
    assert "errors" in verdict
    nothing_is_lost(divider, bad)
    assert bad.failed > 0
    assert bad.stopped_seconds <= _STOPPED_SECONDS
    nothing_is_lost(divider, good)
    assert good.failed == 0
    found = {share.percent: share for share in dividers.shares(good)}
    assert set(found) == set(STEPS)
    for share in found.values():
        assert abs(share.measured - share.percent) <= share.tolerance, share
