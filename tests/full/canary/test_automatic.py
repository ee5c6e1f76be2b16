"""``tuning.mode: Automatic`` on a node: a wrong number becomes a right one under load."""

from collections.abc import Iterator

import pytest

from tests.full.canary.conftest import Platform
from tests.full.canary.tuned import PACE, Case, Tuned, set_pace

pytestmark = [pytest.mark.node, pytest.mark.timeout(2400)]

# A trial begins after the measurements of a week, and of 100,000 requests for memory.
TRIAL_SECONDS = 1500
STEPS_MAX = 10
ONLY_MEMORY = {"mode": "Automatic", "freeze": ["server.concurrency"]}


@pytest.fixture(scope="module")
def fast(platform: Platform) -> Iterator[Platform]:
    """The node, on which a week of measurements passes in seven minutes."""
    set_pace(platform, PACE)
    yield platform
    set_pace(platform, 1)


def test_memory_that_is_three_times_too_large_is_lowered(fast: Platform) -> None:
    case = Case("memory-too-large", rate=250, spec={"tuning": ONLY_MEMORY})
    with Tuned(fast, case) as tuned:
        assert tuned.memory == ("256Mi", "256Mi")
        tuned.follow(lambda: bool(tuned.trials), seconds=TRIAL_SECONDS)
        tuned.stay(60)
        tuned.record()
        print(f"used {tuned.used_mebibytes:.1f} MiB, now {tuned.memory}")
        assert {trial.entry["verdict"] for trial in tuned.trials} == {"Accepted"}
        assert len(tuned.trials) <= STEPS_MAX
        # The least for a worker of 80 MiB, which is that of every app after its start.
        assert tuned.memory == ("128Mi", "128Mi")
        assert (tuned.lost, tuned.restarts) == ([], 0)
        assert tuned.bench.get()["metadata"]["generation"] == tuned.generation
