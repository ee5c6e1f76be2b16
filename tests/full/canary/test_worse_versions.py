"""The judge finds each kind of worse version on a node, and releases one that is not worse."""

import contextlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.full.canary import versions
from tests.full.canary.conftest import Platform
from tests.full.canary.course import READY_SECONDS, long, released
from tests.full.canary.versions import RATE, VERSIONS, Run, Version
from tests.kubectl import eventually
from tests.resilience.client import Request
from tests.resilience.load import Load
from tests.resilience.scenarios import Bench

ROUNDS = int(os.environ.get("ROUNDS", "3"))

pytestmark = [long, pytest.mark.node, pytest.mark.timeout(ROUNDS * 1200)]


def rounds(shop: Bench, version: Version) -> list[Run]:
    """Rolls the version out so many times under a constant load."""
    eventually(lambda: released(shop), seconds=READY_SECONDS, what=version.service, pause=2)
    found = []
    with Load(shop.address, itertools.repeat(Request("read", "GET", "/items")), rate=RATE):
        for number in range(ROUNDS):
            found.append(versions.run(shop, version, number))
            if version.evidence:
                versions.go_back(shop, version)
    return found


def test_the_judge_finds_each_worse_version(platform: Platform) -> None:
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(VERSIONS)))
        shops = [versions.service(platform.kubectl, platform.image, one) for one in VERSIONS]
        for version in VERSIONS:
            stack.callback(platform.kubectl, "delete", "namespace", version.service, "--wait=false")
        runs = [run for found in pool.map(rounds, shops, VERSIONS) for run in found]
    versions.record(runs)
    for version, run in itertools.product(VERSIONS, runs):
        if run.name == version.name:
            assert run.outcome == ("Aborted" if version.evidence else "Released"), run
            assert version.evidence in run.verdict, run
