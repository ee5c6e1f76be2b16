"""``tuning.mode: Automatic`` on a node: wrong numbers become right ones under load.

All services run at the same time on one node, those with less to measure one after the other. Each
changes one number only; the others are frozen.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.full.canary.conftest import Platform
from tests.full.canary.tuned import AROUND_SECONDS, PACE, Case, Stream, Tuned, set_pace
from tests.resilience.scenarios import Bench
from tests.resilience.traffic import Traffic

pytestmark = [pytest.mark.node, pytest.mark.timeout(2400)]

# A trial begins after the measurements of a week, and of 100,000 requests for less memory.
TRIAL_SECONDS = 1500
WARM_REQUESTS = 100_000
STEPS_MAX = 10
# The names of some services, to run only these.
SERVICES = os.environ.get("SERVICES", "").split()
MIB = 2**20
ONLY_MEMORY = {"mode": "Automatic", "freeze": ["server.concurrency", "server.threads"]}
ONLY_THREADS = {
    "mode": "Automatic",
    "freeze": ["server.concurrency", "compute.memory_limit_bytes"],
}
BLOCKING = "/items/blocking"

MEMORY_TOO_LARGE = Case(
    "memory-too-large",
    [Stream(180)],
    # A pod has at most 64 requests at once. While a new one starts on a node of two cores, others
    # may wait a third of a second for a CPU, so that a single pod has no room for 180 requests/s.
    calm=Stream(60),
    spec={"tuning": ONLY_MEMORY},
)
MEMORY_TOO_SMALL = Case(
    "memory-too-small",
    [Stream(80)],
    environment={"SMALL_MEMORY_BYTES": f"{130 * MIB}"},
    spec={"tuning": ONLY_MEMORY},
)
# Its calls took a tenth of the time when its threads were chosen.
THREADS_TOO_FEW = Case(
    "threads-too-few",
    [Stream(28, BLOCKING, burst=20)],
    accepted={"blocking_milliseconds_per_request": 10},
    spec={"tuning": ONLY_THREADS},
    min_requests=50,
)
# By the mean of all requests, eight threads are enough. By their bursts they are not.
THREADS_IN_BURSTS = Case(
    "threads-in-bursts",
    [Stream(135), Stream(7.8, BLOCKING, burst=24)],
    spec={"tuning": ONLY_THREADS},
    # The judge compares no durations in the first 30 s of a step, so a step of 30 s shows none.
    step_seconds=60,
)
THREADS_WITHOUT_NEED = Case(
    "threads-without-need",
    [Stream(25, BLOCKING)],
    environment={"SMALL_BLOCK_SECONDS": "0.2"},
    spec={"tuning": ONLY_THREADS},
    min_requests=50,
    max_wait_seconds=90,
)
SAMPLE_APP = Case(
    "sample-app",
    [Stream(170, of=lambda bench: _traffic(bench).requests())],
    calm=Stream(60, of=lambda bench: _traffic(bench).requests()),
    spec={
        "app": "shop_app:app",
        "resources": {"requests": {"cpu": "150m"}},
        "redis": {"memory": "64Mi"},
        "postgres": {
            "storage": {"size": "1Gi"},
            "resources": {"requests": {"cpu": "200m", "memory": "256Mi"}},
            "migrations": {},
        },
        "tuning": {**ONLY_MEMORY, "freeze": [*ONLY_MEMORY["freeze"], "pool.size"]},
    },
)

Running = Mapping[str, "Future[Tuned]"]


@pytest.fixture(scope="module")
def fast(platform: Platform) -> Iterator[Platform]:
    """The node, on which a week of measurements passes in ten minutes."""
    set_pace(platform, PACE)
    yield platform
    set_pace(platform, 1)


@pytest.fixture(scope="module")
def running(fast: Platform) -> Iterator[Running]:
    """The services; each waits for its first trial, and the sample app for room on the node."""
    slow, quick = ThreadPoolExecutor(2), ThreadPoolExecutor(2)
    of_a_week = (MEMORY_TOO_LARGE, THREADS_IN_BURSTS, SAMPLE_APP)
    of_a_day = (THREADS_TOO_FEW, THREADS_WITHOUT_NEED, MEMORY_TOO_SMALL)
    with slow, quick:
        yield {
            case.name: pool.submit(until_tried, fast, case)
            for pool, cases in ((slow, of_a_week), (quick, of_a_day))
            for case in cases
            if case.name in (SERVICES or [case.name])
        }
        for pool in (slow, quick):
            pool.shutdown(wait=False, cancel_futures=True)


def until_tried(platform: Platform, case: Case) -> Tuned:
    """Runs a service until its first trial has ended."""
    with Tuned(platform, case) as tuned:
        if case.calm is not None:
            # Probes are counted as well.
            tuned.until_sent(round(0.985 * WARM_REQUESTS), seconds=TRIAL_SECONDS)
            tuned.send(case.calm)
        tuned.follow(lambda: bool(tuned.trials), seconds=TRIAL_SECONDS)
        tuned.stay(AROUND_SECONDS)
    return tuned


def ended(running: Running, case: Case) -> Tuned:
    """Returns a service after its trial."""
    if case.name not in running:
        pytest.skip(f"{case.name} is not in SERVICES")
    tuned = running[case.name].result(timeout=2 * TRIAL_SECONDS)
    tuned.record()
    assert len(tuned.trials) <= STEPS_MAX
    assert (tuned.lost, tuned.after.restarts) == ([], 0)
    assert tuned.after.generation == tuned.before.generation
    return tuned


def test_threads_that_are_too_few_are_raised(running: Running) -> None:
    tuned = ended(running, THREADS_TOO_FEW)
    (trial, *_) = tuned.trials
    assert trial.entry["verdict"] == "Accepted"
    assert trial.entry["reason"].startswith("faster")
    # A burst has 20 calls.
    assert tuned.before.threads == 8
    assert tuned.after.threads >= 20


def test_more_threads_without_a_gain_are_taken_back(running: Running) -> None:
    tuned = ended(running, THREADS_WITHOUT_NEED)
    (trial, *_) = tuned.trials
    assert trial.entry["verdict"] == "Rejected"
    assert "no gain" in trial.entry["reason"]
    assert tuned.before.threads == tuned.after.threads == 40


def test_memory_that_is_too_small_is_raised(running: Running) -> None:
    tuned = ended(running, MEMORY_TOO_SMALL)
    assert {trial.entry["verdict"] for trial in tuned.trials} == {"Accepted"}
    assert tuned.before.memory == ("256Mi", "256Mi")
    assert tuned.after.memory[0] in ("288Mi", "320Mi", "352Mi")


def test_threads_that_are_too_few_for_bursts_are_taken_back(running: Running) -> None:
    tuned = ended(running, THREADS_IN_BURSTS)
    (trial, *_) = tuned.trials
    assert trial.entry["verdict"] == "Rejected"
    assert tuned.before.threads == tuned.after.threads == 40
    # Few clients feel it: it is compared at a small share first.
    after = tuned.p99_milliseconds(trial.ended, trial.ended + AROUND_SECONDS)
    assert tuned.p99_milliseconds(trial.began, trial.ended) <= 1.2 * after


def test_memory_that_is_three_times_too_large_is_lowered(running: Running) -> None:
    tuned = ended(running, MEMORY_TOO_LARGE)
    assert {trial.entry["verdict"] for trial in tuned.trials} == {"Accepted"}
    assert tuned.before.memory == ("256Mi", "256Mi")
    # The least for a worker of 80 MiB, which is that of every app after its start.
    assert tuned.after.memory == ("128Mi", "128Mi")


def test_the_memory_of_the_sample_app_is_lowered(running: Running) -> None:
    tuned = ended(running, SAMPLE_APP)
    assert {trial.entry["verdict"] for trial in tuned.trials} == {"Accepted"}
    assert tuned.before.memory == ("256Mi", "256Mi")
    assert tuned.after.memory[0] in ("160Mi", "192Mi")


def _traffic(bench: Bench) -> Traffic:
    traffic = Traffic(bench)
    traffic.warm()
    return traffic
