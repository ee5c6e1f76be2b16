"""The objects of a trial of numbers, from its record to the accepted or rejected numbers."""

import datetime
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.judge.verdict import Action
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop.tuner import following_record
from fastapi_operator.reconcile.observe import canary_record, tuning_record
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Look, Phase
from fastapi_operator.reconcile.observe.observed import Observed, ReleaseRecord
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord, Verdict
from fastapi_operator.reconcile.plan.canary import next_record
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from fastapi_operator.reconcile.plan.desired_state_cache import DesiredStateCache
from fastapi_operator.reconcile.plan.target import Target, find_target
from fastapi_operator.reconcile.plan.tuning_trial import Proposal
from fastapi_operator.resources.desired import Desired
from fastapi_operator.settings import Settings
from tests.unit import services
from tests.unit.reconcile.test_tuning_step import SHOP, measured, some, step_of
from tests.unit.reconcile.worlds import OWNER, child, children

LATER = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC).timestamp()
SPEC: dict[str, Any] = {
    "image": "registry.example.com/shop:1",
    **SHOP,
    "rollout": {"canary": {"maxWaitSeconds": 120}},
}
SAVES = some(step_of(measured(workerMemoryBytes=88 * 2**20)))
GAINS = some(step_of(measured(databaseMillisecondsPerRequest=24.0)))
READY = [
    {"type": "Ready", "status": "True"},
    {"type": "Reconciling", "status": "False"},
    {"type": "Stalled", "status": "False"},
]


@dataclass
class Cluster:
    """The records and the live objects of a service whose controllers are quick."""

    spec: dict[str, Any] = field(default_factory=lambda: dict(SPEC))
    released: dict[str, Any] = field(default_factory=lambda: dict(SPEC))
    canary: CanaryRecord | None = None
    tuning: TuningRecord | None = None
    live: tuple[Desired, ...] = ()
    now: int = 1_790_000_000
    states: DesiredStateCache = field(
        default_factory=lambda: DesiredStateCache(Settings(), build=build_desired_state)
    )

    @property
    def body(self) -> dict[str, Any]:
        body = services.body(self.spec)
        body["metadata"] |= {"annotations": {}, "uid": OWNER.uid}
        return body | {"status": {"observedGeneration": 1, "conditions": READY}}

    @property
    def observed(self) -> Observed:
        found = [child(item) for item in self.live]
        if self.canary is not None:
            found.append(child(canary_record.record_key(OWNER), canary=self.canary))
        if self.tuning is not None:
            found.append(child(tuning_record.record_key(OWNER), tuning=self.tuning))
        return Observed(children(*found), ReleaseRecord(self.released, revision=1))

    def target(self) -> Target:
        return find_target(self.states, self.body, OWNER, Facts(), self.observed, clocks=[LATER])

    def move(self, look: Look | None = None, proposal: Proposal | None = None) -> bool:
        """Makes one write, as an operator that is killed after each; False if none is due."""
        target = self.target()
        assert target.state.error is None, target.state.error
        if target.canary is not None:
            following = next_record(self.canary, target.canary.situation, look, self.now)
            if following != self.canary:
                self.canary = following
                return True
        tuned = following_record(target, self.body, OWNER, self.observed, proposal)
        if tuned != self.tuning:
            self.tuning = tuned
            return True
        wanted = tuple(owned.desired for owned in target.objects)
        if wanted != self.live:
            self.live = wanted
            return True
        return False

    def settle(self, look: Look | None = None, proposal: Proposal | None = None) -> None:
        for _ in range(40):
            if not self.move(look, proposal):
                return
            look, proposal = None, None
        raise AssertionError("it does not settle")

    def run(self, action: Action, gain: str = "") -> None:
        """Looks until the canary is gone."""
        for _ in range(400):
            if self.canary is None:
                return
            self.now += 10
            self.settle(Look(action, "errors 1 %", at=self.now, gain=gain))
        raise AssertionError("the canary does not end")

    def memory(self, part: Part = Part.APP) -> str | None:
        for item in self.live:
            if item.part is part and item.key.kind == "Deployment":
                (container, *_) = item.body["spec"]["template"]["spec"]["containers"]
                return str(container["resources"]["limits"]["memory"])
        return None


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster()
    found.settle()
    assert found.memory() == "256Mi"
    return found


def tried(cluster: Cluster, step: tuning_record.Step = SAVES) -> Cluster:
    cluster.settle(proposal=Proposal(step, TuningRecord()))
    assert cluster.tuning is not None
    assert cluster.tuning.trial is not None
    assert cluster.canary is not None
    return cluster


def others(cluster: Cluster) -> dict[Any, Any]:
    """The objects that a trial must leave alone: all but its own, and what each canary changes."""
    apart = (Part.CANARY, Part.PROXY, Part.NETWORK, Part.AUTOSCALING)
    return {item.key: item.body for item in cluster.live if item.part not in apart}


def test_only_the_pods_of_a_trial_have_its_numbers(cluster: Cluster) -> None:
    before = others(cluster)
    tried(cluster)
    assert cluster.canary is not None
    assert cluster.canary.trial == "compute.memory_limit_bytes from 256Mi to 160Mi"
    assert (cluster.memory(Part.CANARY), cluster.memory()) == ("160Mi", "256Mi")
    assert others(cluster) == before
    # The judge compares the memory of its pods with their own limit.
    target = cluster.target()
    assert target.tried is not None
    assert target.tried.compute.memory_limit_bytes.display() == "160Mi"
    assert target.state.plan is not None
    assert target.state.plan.compute.memory_limit_bytes.display() == "256Mi"
    # The spec's steps are for versions. Two pods run beside the one of the trial.
    assert cluster.canary.steps == (5, 33)


def test_numbers_that_are_not_worse_are_accepted(cluster: Cluster) -> None:
    tried(cluster).run(Action.ADVANCE)
    assert cluster.tuning is not None
    assert cluster.tuning.history[0].verdict is Verdict.ACCEPTED
    assert (cluster.memory(), cluster.memory(Part.CANARY)) == ("160Mi", None)
    # Another process builds the same from the record, and the step is not tried again.
    again = replace(cluster, states=DesiredStateCache(Settings(), build=build_desired_state))
    assert not again.move()


def test_worse_numbers_are_rejected(cluster: Cluster) -> None:
    before = others(cluster)
    tried(cluster).run(Action.ABORT)
    assert cluster.tuning is not None
    assert cluster.tuning.history[0].verdict is Verdict.REJECTED
    assert (others(cluster), cluster.memory(Part.CANARY)) == (before, None)


def test_more_connections_are_accepted_only_with_a_gain(cluster: Cluster) -> None:
    tried(cluster, GAINS).run(Action.ADVANCE)
    assert cluster.tuning is not None
    assert cluster.tuning.history[0].reason.startswith("no gain within 120 s")
    assert cluster.tuning.accepted == {}
    better = Cluster()
    better.settle()
    tried(better, GAINS).run(Action.ADVANCE, gain="faster: p95 20 ms, stable 31 ms")
    assert better.tuning is not None
    assert list(better.tuning.accepted) == ["database_milliseconds_per_request"]


def test_a_newer_image_ends_a_trial_and_its_canary_has_the_accepted_numbers(
    cluster: Cluster,
) -> None:
    tried(cluster)
    first = cluster.canary
    assert first is not None
    cluster.spec["image"] = "registry.example.com/shop:2"
    cluster.settle()
    assert cluster.tuning is not None
    assert (cluster.tuning.trial, cluster.tuning.history[0].verdict) == (None, Verdict.ENDED)
    assert cluster.canary is not None
    assert (cluster.canary.trial, cluster.canary.id == first.id) == ("", False)
    assert cluster.memory(Part.CANARY) == "256Mi"


def test_another_mode_keeps_the_numbers_until_it_is_released(cluster: Cluster) -> None:
    tried(cluster).run(Action.ADVANCE)
    cluster.spec["tuning"] = {"mode": "Recommend"}
    cluster.settle()
    assert (cluster.memory(), cluster.memory(Part.CANARY)) == ("160Mi", "256Mi")
    assert cluster.canary is not None
    assert cluster.canary.phase is not Phase.PROMOTING
    assert cluster.tuning is not None
