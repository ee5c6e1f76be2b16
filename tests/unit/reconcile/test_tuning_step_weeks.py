"""Weeks of automatic tuning on a faster clock, with days, nights and weekends.

Each reading of five minutes is added to the summary as the observer does, and the figures that
follow from it are those that ``next_step`` gets.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi_operator.facts import Facts
from fastapi_operator.observation import reading
from fastapi_operator.observation.figures import measurements
from fastapi_operator.observation.hours import NOTHING, between
from fastapi_operator.observation.reading import BOUNDS_SECONDS, Reading, Source
from fastapi_operator.reconcile.observe.tuning_record import Aim, Step, TuningRecord, Verdict
from fastapi_operator.reconcile.plan.tuning_step import next_step
from fastapi_operator.settings import Settings
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.derive import derive
from fastapi_operator.tuning.measurements import Measurements
from tests.unit.reconcile.test_tuning_step import DAY, HOUR, MIB, SHOP, WEEK, ended
from tests.unit.services import service

LOOK_SECONDS = 300
WEEKS = 3
# A Monday at midnight.
BEGIN = 4 * DAY
# The load of a shop at each hour of a working day, as a share of its peak.
WORKDAY = (
    *(0.18, 0.12, 0.09, 0.08, 0.08, 0.11, 0.2, 0.38, 0.55, 0.66, 0.72, 0.78),
    *(0.85, 0.8, 0.74, 0.72, 0.74, 0.8, 0.9, 1.0, 0.98, 0.8, 0.52, 0.3),
)
WEEKEND = 0.45


@dataclass
class App:
    """An app whose requests have the same cost for weeks, and its noise.

    Attributes:
        chance: The noise.
        peak: Requests per second at the peak.
        cpu_seconds: CPU time of a request.
        mean_seconds: Duration of a request at little load.
        hold_seconds: Time for which a request holds a connection.
        block_seconds: Time for which a call holds a thread.
        burst: Calls that hold a thread arrive so many at once, a tenth of the requests.
        resident: Resident memory of a warm worker, in bytes.
        born: When its pods started.
        totals: The counters of the pod that is read.
    """

    chance: random.Random
    peak: float = 60.0
    cpu_seconds: float = 0.0031
    mean_seconds: float = 0.024
    hold_seconds: float = 0.024
    block_seconds: float = 0.05
    burst: int = 20
    resident: float = 100.0 * MIB
    born: float = 0.0
    totals: dict[str, float] = field(default_factory=dict)
    buckets: list[float] = field(default_factory=lambda: [0.0] * len(BOUNDS_SECONDS))

    def restart(self, now: float) -> None:
        """Replaces its pods."""
        self.born, self.totals, self.buckets = now, {}, [0.0] * len(BOUNDS_SECONDS)

    def read(self, now: float) -> Reading:
        """Serves requests for five minutes, and returns the page of a pod after them."""
        day, hour = int(now // DAY), now % DAY / HOUR
        share = WORKDAY[int(hour)] * (WEEKEND if (day - BEGIN // DAY) % 7 > 4 else 1.0)
        rate = self.peak * share * self._noise(0.2)
        requests = float(round(rate * LOOK_SECONDS))
        gained = {
            reading.REQUESTS: requests,
            # An idle process uses some too.
            reading.CPU: requests * self.cpu_seconds * self._noise(0.1) + 0.005 * LOOK_SECONDS,
            reading.HOLD: requests * self.hold_seconds * self._noise(0.1),
            reading.WAIT: 0.0,
            reading.CHECKOUTS: requests,
        }
        for name, value in gained.items():
            self.totals[name] = self.totals.get(name, 0.0) + value
        for index, bound in enumerate(BOUNDS_SECONDS):
            # An exponential distribution, slower under load.
            below = 1 - math.exp(-bound / (self.mean_seconds * (1 + share / 4)))
            self.buckets[index] += requests * below
        # Whether a burst is under way at this moment: a tenth of the requests comes in bursts.
        bursts = rate / 10 / self.burst * self.block_seconds
        age = now - self.born
        warm = 1 - math.exp(-age / (2 * HOUR))
        gauges = {
            reading.THREADS: float(self.burst) if self.chance.random() < bursts else 0.0,
            reading.THREADS_WAITING: 0.0,
            reading.IN_FLIGHT: float(round(rate * 0.03 * self._noise(0.5))),
            reading.RESIDENT: (80 * MIB + (self.resident - 80 * MIB) * warm) * self._noise(0.02),
            reading.WORKERS: 1.0,
        }
        source = Source(f"shop-{self.born:.0f}", started_at=self.born)
        return Reading(source, now, {**self.totals, **gauges}, tuple(self.buckets))

    def _noise(self, most: float) -> float:
        return self.chance.uniform(1 - most, 1 + most)


Judge = Callable[[Step], Verdict]


def accepts(_: Step) -> Verdict:
    return Verdict.ACCEPTED


def rejects(_: Step) -> Verdict:
    return Verdict.REJECTED


def is_fair(step: Step) -> Verdict:
    """The verdict on an app that has enough of everything: more makes nothing faster."""
    return Verdict.REJECTED if step.aim is Aim.GAINS else Verdict.ACCEPTED


def steps_of(app: App, judge: Judge, **spec: Any) -> Iterator[tuple[Step, TuningRecord]]:
    """Yields each step of some weeks, with the record before it.

    Each is tried at once. If it is accepted, the app's pods are replaced.
    """
    shop, record = service(**{**SHOP, **spec}), TuningRecord()
    hours, pending, app.born = NOTHING, NOTHING, BEGIN
    before = app.read(BEGIN)
    for now in range(BEGIN + LOOK_SECONDS, BEGIN + WEEKS * WEEK, LOOK_SECONDS):
        after = app.read(now)
        pending += between(before, after, pods=2) or NOTHING
        before = after
        if now % HOUR == 0:
            hours, pending = hours + pending, NOTHING
        seconds = hours.span_seconds
        if now % (DAY / 2) or seconds < figures.OBSERVED_SECONDS_MIN:
            continue
        found = measurements(hours, "team/shop", now=now)
        step = next_step(shop, Settings(), Facts(), record, found, seconds=seconds, now=now)
        if step is None:
            continue
        yield step, record
        record = ended(record, step, judge(step), now)
        if record.history[0].verdict is Verdict.ACCEPTED:
            app.restart(now)


def numbers(accepted: Measurements, **spec: Any) -> dict[str, float]:
    plan = derive(service(**{**SHOP, **spec}), Settings(), Facts(), accepted)
    return {decision.name: decision.value for decision in plan.decisions()}


def test_no_number_of_a_steady_service_moves_to_and_fro() -> None:
    ratios: dict[str, list[float]] = {}
    for step, record in steps_of(App(random.Random(0)), is_fair):
        if is_fair(step) is Verdict.REJECTED:
            continue
        accepted = {**record.accepted, step.figure: step.value}
        was, now = numbers(record.measurements), numbers(Measurements.accepted(accepted))
        for change in step.changes:
            ratio = now[change.number] / was[change.number]
            # No step without a gain of a tenth.
            assert abs(ratio - 1) >= figures.GAIN_MIN, step.text
            ratios.setdefault(change.number, []).append(ratio)
    assert {"compute.memory_limit_bytes", "server.threads"} <= ratios.keys()
    for number, found in ratios.items():
        assert len(found) == 1, (number, found)


def test_numbers_that_were_rejected_are_not_tried_again_within_weeks() -> None:
    tried = [step for step, _ in steps_of(App(random.Random(0)), rejects)]
    assert {step.aim for step in tried} >= {Aim.SAVES, Aim.GAINS}
    changes = [step.changes for step in tried]
    assert len(changes) == len(set(changes)), [step.text for step in tried]


def test_a_service_whose_numbers_are_right_takes_no_step() -> None:
    app = App(
        random.Random(0),
        cpu_seconds=figures.CPU_MILLISECONDS_PER_REQUEST / 1000,
        mean_seconds=0.015,
        hold_seconds=figures.DATABASE_MILLISECONDS_PER_REQUEST / 1000,
        resident=float(figures.WORKER_MEMORY_BYTES) * 0.96,
        burst=1,
        block_seconds=0.09,
    )
    frozen = {"mode": "Automatic", "freeze": ["compute.cpu_request_millicores", "server.threads"]}
    assert [step.text for step, _ in steps_of(app, accepts, tuning=frozen)] == []
