"""The same bad version under the same load, released by this operator and by Argo Rollouts."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.canary import argo
from tests.benchmarks.canary.argo import ArgoRollout, Check
from tests.full.canary import course, dividers, rollouts
from tests.full.canary.conftest import Platform
from tests.full.canary.course import aborted, long, worse
from tests.full.canary.dividers import GATEWAY, RATE, STEP_SECONDS, STEPS
from tests.full.canary.rollouts import Seen
from tests.judges import controllers
from tests.resilience.client import Request
from tests.resilience.load import Load
from tests.resilience.scenarios import Bench

pytestmark = [
    long,
    pytest.mark.node,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        controllers.built("argo-rollouts") is None,
        reason="Argo Rollouts is missing: run python -m tests.judges argo-rollouts",
    ),
]
_BAD = worse(errors=0.2)
# Its documentation has the second number, and 5 min instead of the first.
_CHECKS = (
    Check("Argo Rollouts 1.9, a check each 10 s, aborted at the fourth failed one", 10, 3),
    Check("Argo Rollouts 1.9, a check each 5 s, aborted at the first failed one", 5, 0),
)
_HEADINGS = (
    "controller",
    "requests/s",
    "s from the apply to its first request",
    "s from its first failure to its last request",
    "served by the bad version",
    "failed by it",
    "lost",
    "objects for the canary",
    "lines for the canary",
)


def _record(name: str, seen: Seen, added: Sequence[dict[str, Any]], section: Any) -> None:
    first = min(answer.at for answer in seen.of_canary)
    row = (
        name,
        f"{seen.rate:g}",
        f"{first - seen.began:.1f}",
        f"{seen.stopped_seconds:.1f}",
        f"{len(seen.of_canary)}",
        f"{seen.failed}",
        f"{len(seen.lost)}",
        f"{len(added)}",
        f"{argo.lines(section, *added)}",
    )
    rollouts.keep("rival", _HEADINGS, row)


def test_this_operator_ends_a_bad_version(platform: Platform, tmp_path: Path) -> None:
    bench = Bench(platform.kubectl, platform.image, GATEWAY.namespace)
    with dividers.running(GATEWAY, bench, tmp_path) as roll_out:
        canary = bench.get()["spec"]["rollout"]
        seen = roll_out("20 % errors", _BAD, aborted)
    assert seen.lost == []
    _record("this operator", seen, [], {"rollout": canary})


@pytest.mark.parametrize("check", _CHECKS, ids=["patient", "strict"])
def test_argo_rollouts_ends_a_bad_version(platform: Platform, check: Check, tmp_path: Path) -> None:
    shop = ArgoRollout(platform.kubectl, platform.image, f"argo-{check.seconds}")
    shop.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop.namespace}}
    )
    try:
        with argo.running(shop, tmp_path) as (port, prometheus):
            workload = argo.workload(shop, STEPS, STEP_SECONDS)
            added = argo.additions(shop, check, prometheus)
            shop.kubectl.apply(*added, *workload)
            argo.wait_until_healthy(shop)
            requests = itertools.repeat(Request("read", "GET", "/items"))
            with Load(argo.HOST, requests, rate=RATE, port=port, address="127.0.0.1") as load:
                followed = course.follow(shop, load, _BAD, lambda _: shop.is_aborted(), rate=RATE)
            seen = followed.seen(check.name, named=shop.new_pods())
        print(seen.report(), flush=True)
        assert seen.failed > 0
        strategy = workload[0]["spec"]["strategy"]
        _record(check.name, seen, added, {"strategy": strategy})
    finally:
        shop.kubectl("delete", "namespace", shop.namespace, "--wait=false")
