"""What is done about simulated pods: none runs out of memory, and no two end at once."""

import dataclasses
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_operator.api.status import LeakStatus
from fastapi_operator.observation.growth import Sample, added
from fastapi_operator.reconcile.plan.leak_guard import (
    REPLACE_SECONDS,
    GuardedPod,
    Terms,
    judge_leaks,
)

MIB = 2**20
TERMS = Terms(automatic=True, limit_bytes=256 * MIB, most_bytes=512 * MIB)
START_SECONDS, END_SECONDS = 15.0, 10.0
Series = Callable[[float], float]
# 2026-01-01
THEN = 1_767_225_600.0


@dataclass
class Pod:
    name: str
    begun: float
    limit: int
    ends: float = math.inf
    samples: tuple[Sample, ...] = ()

    def ready(self, now: float) -> bool:
        return now >= self.begun + START_SECONDS


@dataclass
class World:
    """Pods, a Deployment that replaces them, and a kubelet that resizes and kills."""

    mebibytes: Series
    terms: Terms = TERMS
    count: int = 2
    refused: str = ""
    pods: list[Pod] = field(default_factory=list)
    stored: LeakStatus | None = None
    reports: list[LeakStatus] = field(default_factory=list)
    raised: int = 0
    evicted: int = 0
    killed: int = 0
    names: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.pods = [self.new(-START_SECONDS) for _ in range(self.count)]

    def new(self, now: float) -> Pod:
        return Pod(f"shop-{next(self.names)}", now, self.terms.limit_bytes)

    def run(self, seconds: float) -> "World":
        now = look = 0.0
        while now < seconds:
            self.play(now)
            if now >= look:
                look = now + (5 if self.look(now) else 20)
            now += 5
        return self

    def play(self, now: float) -> None:
        for pod in list(self.pods):
            if now >= pod.ends:
                self.pods.remove(pod)
            elif pod.ready(now) and self.memory(pod, now) > pod.limit:
                self.killed += 1
                pod.begun, pod.samples = now, ()
        while sum(pod.ends == math.inf for pod in self.pods) < self.count:
            self.pods.append(self.new(now))

    def memory(self, pod: Pod, now: float) -> float:
        return self.mebibytes(now - pod.begun - START_SECONDS) * MIB

    def look(self, now: float) -> bool:
        for pod in self.pods:
            if pod.ready(now):
                memory = self.memory(pod, now)
                pod.samples = added(pod.samples, Sample(now, memory, 50 * (now - pod.begun)))
        seen = [
            GuardedPod(
                name=pod.name,
                uid=pod.name,
                limit_bytes=pod.limit,
                ready=pod.ready(now) and pod.ends == math.inf,
                deleting=pod.ends < math.inf,
                age_seconds=now - pod.begun,
                samples=pod.samples,
                refused=self.refused,
            )
            for pod in self.pods
        ]
        verdict = judge_leaks(self.terms, seen, self.stored, now)
        by_name = {pod.name: pod for pod in self.pods}
        for step in verdict.raises:
            assert by_name[step.pod.name].limit < step.limit_bytes <= self.terms.most_bytes
            by_name[step.pod.name].limit = step.limit_bytes
            self.raised += 1
        if verdict.replace is not None:
            others = [pod for pod in self.pods if pod.name != verdict.replace.name]
            assert self.stored is not None
            assert (self.stored.state, self.stored.pod) == ("Replacing", verdict.replace.name)
            assert others, "the last pod ends"
            assert all(pod.ready(now) and pod.ends == math.inf for pod in others), "two at once"
            by_name[verdict.replace.name].ends = now + END_SECONDS
            self.evicted += 1
        if verdict.report is not None and verdict.report != self.stored:
            self.reports.append(verdict.report)
        self.stored = verdict.report
        return verdict.soon

    @property
    def states(self) -> list[str]:
        return [report.state for report in self.reports]


def leak(mebibytes_per_second: float) -> Series:
    return lambda at: 100 + mebibytes_per_second * at


def test_a_leak_of_a_mebibyte_a_second_ends_no_pod() -> None:
    world = World(leak(1)).run(3600)
    assert world.killed == 0
    assert world.evicted >= 10
    assert world.states[:3] == ["Raised", "Replacing", "Replaced"]
    first = world.reports[0]
    assert first.bytes_per_hour == pytest.approx(3600 * MIB, rel=0.02)
    assert first.bytes_per_request == pytest.approx(MIB / 50, rel=0.02)
    assert first.message.startswith("the memory of pod shop-0 grows by 1.00 MiB/s, 20.5 KiB a ")
    assert first.message.endswith("was raised from 256Mi to 512Mi without a restart")
    assert world.reports[2].message.endswith("it was replaced by a new pod")


def test_a_leak_of_a_mebibyte_an_hour_is_raised_in_steps_and_replaced_after_days() -> None:
    world = World(lambda at: 225 + 60 * at / 3600 / 60).run(12 * 3600)
    assert (world.killed, world.evicted) == (0, 0)
    assert world.raised == 2
    assert {pod.limit for pod in world.pods} == {320 * MIB}


@pytest.mark.parametrize("seconds", [30, 120, 900])
@pytest.mark.parametrize("most", [256, 512])
def test_a_warm_up_replaces_no_pod(seconds: float, most: int) -> None:
    terms = dataclasses.replace(TERMS, most_bytes=most * MIB)
    world = World(lambda at: 80 + 110 * (1 - math.exp(-at / seconds)), terms).run(3600)
    assert (world.killed, world.evicted) == (0, 0)
    assert all(pod.limit <= 512 * MIB for pod in world.pods)


@given(
    level=st.floats(60, 180),
    height=st.floats(0, 30),
    period=st.floats(20, 3000),
    most=st.sampled_from([256, 512]),
)
@settings(max_examples=10)
def test_a_collector_replaces_no_pod(level: float, height: float, period: float, most: int) -> None:
    terms = dataclasses.replace(TERMS, most_bytes=most * MIB)
    world = World(lambda at: level + height * (at % period) / period, terms).run(3600)
    assert (world.killed, world.evicted) == (0, 0)


@given(level=st.floats(40, 225), seed=st.integers(0, 2**32))
@settings(max_examples=10)
def test_nothing_is_done_about_steady_pods(level: float, seed: int) -> None:
    chance = random.Random(seed)
    world = World(lambda _: level + 0.1 * (230 - level) * chance.random()).run(3600)
    assert (world.raised, world.evicted, world.reports) == (0, 0, [])


@given(
    rate=st.floats(0.05, 1.0),
    count=st.integers(2, 6),
    noise=st.floats(0, 3),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=10)
def test_no_leak_kills_a_pod_and_no_two_end_at_once(
    rate: float, count: int, noise: float, seed: int
) -> None:
    chance = random.Random(seed)
    terms = dataclasses.replace(TERMS, most_bytes=1024 * MIB)
    world = World(lambda at: 100 + rate * at + noise * chance.random(), terms, count).run(3600)
    assert world.killed == 0
    assert world.evicted > 0 or rate < 0.5


def test_where_limits_cannot_be_raised_pods_are_replaced() -> None:
    world = World(leak(0.25), refused="the operator has no right to resize pods").run(3600)
    assert (world.killed, world.raised) == (0, 0)
    assert world.states[:2] == ["Replacing", "Replaced"]
    assert "the operator has no right to resize pods" in world.reports[0].message


def test_a_pod_whose_node_has_no_room_is_replaced_in_time() -> None:
    samples = tuple(Sample(at, (100 + at) * MIB, 50 * at) for at in range(0, 61, 5))
    pods = [
        GuardedPod("shop-0", "", 256 * MIB, samples=samples, resizing_seconds=40),
        GuardedPod("shop-1", "", 256 * MIB),
    ]
    verdict = judge_leaks(TERMS, pods, None, 60)
    assert verdict.raises == ()
    assert verdict.report is not None
    assert verdict.report.state == "Replacing"
    assert "its node has not raised its limit yet" in verdict.report.message
    soon = dataclasses.replace(pods[0], resizing_seconds=5)
    assert judge_leaks(TERMS, [soon, pods[1]], None, 60).report is None
    early = dataclasses.replace(pods[0], limit_bytes=400 * MIB)
    report = judge_leaks(TERMS, [early, pods[1]], None, 60).report
    assert report is not None
    assert report.state == "Raised"


def test_the_only_pod_is_raised_and_not_replaced() -> None:
    world = World(leak(0.5), count=1).run(700)
    assert world.evicted == 0
    assert world.states == ["Raised", "Blocked"]
    assert world.reports[1].message.endswith("the only pod: set scaling.minReplicas: 2")


def test_a_recommendation_changes_nothing() -> None:
    world = World(leak(0.5), dataclasses.replace(TERMS, automatic=False)).run(200)
    assert (world.raised, world.evicted) == (0, 0)
    # Both pods grow, and one report is enough.
    assert world.states == ["Growing"]


@pytest.mark.parametrize("waits_for", ["", "a rollout"])
def test_another_process_evicts_the_pod_that_was_announced(waits_for: str) -> None:
    stored = LeakStatus(
        pod="shop-0", state="Replacing", message="it grows; a new pod replaces it", at=""
    )
    pods = [GuardedPod(f"shop-{number}", "", 512 * MIB) for number in range(2)]
    terms = dataclasses.replace(TERMS, waits_for=waits_for)
    verdict = judge_leaks(terms, pods, stored, 0)
    assert verdict.replace == (None if waits_for else pods[0])
    assert verdict.report == stored
    ending = [dataclasses.replace(pods[0], deleting=True), pods[1]]
    assert judge_leaks(TERMS, ending, stored, 0).replace is None
    after = judge_leaks(TERMS, pods[1:], stored, 0).report
    assert after is not None
    assert (after.state, after.message) == ("Replaced", "it grows; it was replaced by a new pod")


def test_a_raised_limit_is_reported_by_another_process() -> None:
    pods = [GuardedPod("shop-0", "", 384 * MIB), GuardedPod("shop-1", "", 256 * MIB)]
    report = judge_leaks(TERMS, pods, None, 0).report
    assert report is not None
    assert report.message == (
        "pod shop-0: its memory limit was raised from 256Mi to 384Mi without a restart"
    )


def test_a_report_stays_for_six_hours() -> None:
    stored = LeakStatus(pod="shop-9", state="Replaced", message="x", at="2026-01-01T00:00:00Z")
    pods = [GuardedPod("shop-0", "", 256 * MIB)]
    assert judge_leaks(TERMS, pods, stored, THEN + 6 * 3600).report == stored
    assert judge_leaks(TERMS, pods, stored, THEN + 6 * 3600 + 1).report is None


def test_a_report_of_a_clock_that_was_ahead_does_not_stay_for_months() -> None:
    stored = LeakStatus(pod="shop-9", state="Replaced", message="x", at="2026-03-01T00:00:00Z")
    assert judge_leaks(TERMS, [GuardedPod("shop-0", "", 256 * MIB)], stored, THEN).report is None


def test_pods_are_replaced_while_there_is_time_for_each() -> None:
    assert START_SECONDS + END_SECONDS < REPLACE_SECONDS
