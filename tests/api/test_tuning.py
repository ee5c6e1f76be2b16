"""Better numbers on a real API server: tried in a canary, then accepted or rejected."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fastapi_operator.cli.main import app
from fastapi_operator.judge.verdict import Action
from fastapi_operator.reconcile.loop import observer
from fastapi_operator.reconcile.observe.canary_record import Look
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from fastapi_operator.reconcile.plan.target import Target
from fastapi_operator.tuning import figures
from tests.api.faulty import FaultyProxy, at_write
from tests.api.running import RunningOperator
from tests.api.test_canary import (
    NEW,
    canary,
    hurry,
    image_of,
    in_phase,
    look_of,
    releases,
    until_gone,
)
from tests.api.test_observation import pod
from tests.api.world import World, eventually

__all__ = ("pod",)

OLD = "registry.test/shop:1"
AUTOMATIC: dict[str, Any] = {
    "tuning": {"mode": "Automatic"},
    "rollout": {"canary": {"steps": [10, 50], "stepSeconds": 10, "minRequests": 100}},
}


@dataclasses.dataclass
class Judge:
    """The verdict about each trial; other canaries wait."""

    action: Action

    async def look(self, owner: Owner, target: Target, now: float) -> Look | None:
        """Returns a look with the action."""
        assert target.canary is not None
        assert target.canary.record is not None
        action = self.action if target.canary.record.trial else Action.WAIT
        return look_of(action, now)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of measurements passes in two seconds, and any data are enough."""
    hurry(monkeypatch)
    monkeypatch.setattr(observer, "TICK_SECONDS", 0.1)
    monkeypatch.setattr(observer, "LOOK_SECONDS", 0.4)
    monkeypatch.setattr(observer, "WRITE_SECONDS", 2.0)
    monkeypatch.setattr(figures, "OBSERVED_SECONDS_MIN", 0)
    monkeypatch.setattr(figures, "CONFIDENT_SECONDS", 0)


def memory_of(world: World, name: str = "shop") -> str | None:
    """The memory limit of the app's container."""
    deployment = world.get("deployments", name)
    if deployment is None:
        return None
    (container, *_) = deployment["spec"]["template"]["spec"]["containers"]
    return str(container["resources"]["limits"]["memory"])


def remembered(world: World) -> dict[str, Any]:
    body = world.get("configmaps", "shop-tuning") or {"data": {"tuning.json": "{}"}}
    found: dict[str, Any] = json.loads(body["data"]["tuning.json"])
    return found


def trials(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.service()["status"].get("trials") or []
    return found


def until_ended(world: World) -> dict[str, Any]:
    """Plays the controllers until the only trial has ended, with its canary."""

    def ended() -> bool:
        world.finish_rollouts()
        return bool(trials(world)) and not world.get("configmaps", "shop-canary")

    eventually(ended, within=60)
    until_gone(world)
    (found,) = trials(world)
    return found


def notes(world: World) -> dict[str, str]:
    return {item["reason"]: item["note"] for item in world.kube.items(world.path("events"))}


def test_numbers_that_are_not_worse_and_cheaper_are_kept(
    world: World, pod: str, tmp_path: Path
) -> None:
    judge = Judge(Action.WAIT)
    world.start(build=build_desired_state, looks=judge)
    generation = world.apply(**AUTOMATIC)["metadata"]["generation"]
    world.until_ready()
    running = in_phase(world, "Progressing")
    assert running["trial"] == "compute.memory_limit_bytes from 256Mi to 160Mi"
    # Only the pods of the trial have the better number, and the service is as before.
    assert (memory_of(world, "shop-canary"), memory_of(world)) == ("160Mi", "256Mi")
    assert image_of(world, "shop-canary") == OLD
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Reconciling")["status"] == "False"

    judge.action = Action.ADVANCE
    found = until_ended(world)
    assert (found["verdict"], found["numbers"]) == ("Accepted", running["trial"])
    assert found["evidence"].startswith("workerMemoryBytes 88Mi (")
    assert "errors 0 %" in found["reason"]
    assert memory_of(world) == "160Mi"
    # The spec is as before, and no other version was released.
    assert world.service()["metadata"]["generation"] == generation
    assert releases(world) == [OLD]
    assert notes(world)["TuningAccepted"].startswith(f"{running['trial']}, since workerMemory")
    settings = tmp_path / "settings.yaml"
    settings.write_text("{}")
    options = ["-n", world.namespace, "--settings", str(settings)]
    for command in (["explain", "shop", "-o", "json"], ["diff", "shop"]):
        done = CliRunner().invoke(
            app, [*command, *options], env={"KUBECONFIG": str(world.kubeconfig)}
        )
        assert done.exit_code == 0, done.output
        if command[0] == "explain":
            decisions = {item["name"]: item for item in json.loads(done.stdout)["decisions"]}
            assert decisions["compute.memory_limit_bytes"]["source"] == "tuned"

    # Nothing is tried again, and another process keeps the numbers. More measurements are more
    # evidence of a recommendation, which is in the status.
    world.operators.pop().stop()
    since = world.mark()
    world.start(build=build_desired_state, looks=Judge(Action.ADVANCE))
    time.sleep(4)
    evidence = {"patch configmaps/shop-measurements", "patch fastapiservices/shop/status"}
    assert set(world.writes(since)) <= evidence
    assert (len(trials(world)), canary(world)) == (1, {})
    assert memory_of(world) == "160Mi"

    # Another mode gives the numbers back, in a canary as for each changed version.
    world.apply(**AUTOMATIC | {"tuning": {"mode": "Recommend"}})
    starting = in_phase(world, "Progressing")
    assert "trial" not in starting
    assert memory_of(world) == "160Mi"
    name = "fastapi-operator.io/promote"
    patch = {"metadata": {"annotations": {name: starting["id"]}}}
    world.kube.patch(world.path("fastapiservices", "shop"), patch)

    def given_back() -> bool:
        world.finish_rollouts()
        return memory_of(world) == "256Mi" and world.get("configmaps", "shop-tuning") is None

    eventually(given_back, within=40)


def test_worse_numbers_are_taken_back_and_not_tried_again(world: World, pod: str) -> None:
    judge = Judge(Action.WAIT)
    world.start(build=build_desired_state, looks=judge)
    world.apply(**AUTOMATIC)
    world.until_ready()
    in_phase(world, "Progressing")
    judge.action = Action.ABORT
    found = until_ended(world)
    assert (found["verdict"], found["reason"].split(",")[0]) == (
        "Rejected",
        "errors 20 % of 100 requests",
    )
    assert notes(world)["TuningRejected"]
    # The service did not fail.
    assert world.condition("Stalled")["status"] == "False"
    assert (memory_of(world), remembered(world)["accepted"]) == ("256Mi", {})
    time.sleep(4)
    assert (len(trials(world)), canary(world)) == (1, {})


def test_a_trial_whose_pod_finds_no_room_is_not_rejected(world: World, pod: str) -> None:
    world.start(build=build_desired_state, looks=Judge(Action.WAIT))
    rollout = {**AUTOMATIC["rollout"], "deadlineSeconds": 60}
    world.apply(**AUTOMATIC | {"rollout": rollout})
    world.until_ready()
    message = 'pods "shop-canary-1" is forbidden: exceeded quota: few'
    refused = {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": message,
            }
        ],
    }

    def ended() -> bool:
        if (body := world.get("deployments", "shop-canary")) is not None:
            status = {**refused, "observedGeneration": body["metadata"]["generation"]}
            world.kube.patch(
                world.path("deployments", "shop-canary") + "/status", {"status": status}
            )
        return bool(trials(world))

    eventually(ended, within=40)
    (found,) = trials(world)
    assert found["verdict"] == "Ended"
    assert message in found["reason"]
    assert world.condition("Stalled")["status"] == "False"


def test_a_newer_version_ends_a_trial(world: World, pod: str) -> None:
    world.start(build=build_desired_state, looks=Judge(Action.WAIT))
    world.apply(**AUTOMATIC)
    world.until_ready()
    first = in_phase(world, "Progressing")
    world.apply(image=NEW, **AUTOMATIC)

    def is_of_version() -> bool:
        world.finish_rollouts()
        found = canary(world)
        return found.get("id") not in (None, first["id"]) and found["phase"] == "Progressing"

    eventually(is_of_version, within=40)
    assert "trial" not in canary(world)
    assert image_of(world, "shop-canary") == NEW
    assert memory_of(world, "shop-canary") == "256Mi"
    (found,) = trials(world)
    assert (found["verdict"], found["reason"]) == ("Ended", "the spec changed")
    assert remembered(world)["trial"] is None


@pytest.mark.parametrize(("action", "done"), [(Action.ADVANCE, True), (Action.ABORT, False)])
def test_an_operator_that_is_killed_during_a_trial_ends_where_an_undisturbed_one_does(
    world: World, pod: str, tmp_path: Path, action: Action, done: bool
) -> None:
    """Each process is killed at a write; the next one has only the live objects."""
    judge = Judge(Action.WAIT)
    operator = world.start(build=build_desired_state, looks=judge)
    world.apply(**AUTOMATIC)
    world.until_ready()
    eventually(lambda: remembered(world).get("trial"))
    operator.stop()
    world.operators.clear()
    judge.action = action
    better = "160Mi" if action is Action.ADVANCE else "256Mi"

    def settled() -> bool:
        world.finish_rollouts()
        # The released pods get the better number after it was accepted only.
        accepted = remembered(world)["accepted"]
        assert memory_of(world) == "256Mi" or accepted
        is_over = bool(trials(world)) and not world.get("configmaps", "shop-canary")
        return is_over and memory_of(world) == better and world.is_ready()

    lives, ended = 0, False
    while not ended:
        lives += 1
        assert lives < 60, "no life gets any further"
        number = 4 + (lives % 2 if not done else 0)
        with FaultyProxy(world.kubeconfig, fate=at_write(number, done=done)) as proxy:
            life = RunningOperator(
                proxy.kubeconfig(tmp_path),
                namespaces=(world.namespace,),
                build=build_desired_state,
                looks=judge,
            )
            with life:
                eventually(lambda proxy=proxy: proxy.dead.is_set() or settled(), within=60)
                ended = not proxy.dead.is_set()
    assert lives > 2, f"only {lives} lives: the faults did not happen"
    assert world.get("deployments", "shop-canary") is None
    assert [item["verdict"] for item in trials(world)] == [
        "Accepted" if action is Action.ADVANCE else "Rejected"
    ]
    assert releases(world) == [OLD]
