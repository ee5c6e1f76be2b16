"""A canary on a real API server: each transition, and requests of people."""

import dataclasses
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fastapi_operator.judge.verdict import Action
from fastapi_operator.reconcile.loop import canary as loop
from fastapi_operator.reconcile.loop import steady
from fastapi_operator.reconcile.observe.canary_record import Figures, Look
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from fastapi_operator.reconcile.plan.target import Target
from fastapi_operator.tuning import figures
from tests.api.faulty import FaultyProxy, at_write
from tests.api.running import RunningOperator
from tests.api.world import World, eventually

CANARY: dict[str, Any] = {
    "steps": [10, 50],
    "stepSeconds": 10,
    "minRequests": 100,
    "maxWaitSeconds": 3600,
}
NEW = "registry.test/shop:2"
FASTER = 10


@dataclasses.dataclass
class Judge:
    """The verdict about each version, by its image; real figures come from real proxies."""

    actions: dict[str, Action] = dataclasses.field(default_factory=dict)
    looks: int = 0

    async def look(self, owner: Owner, target: Target, now: float) -> Look | None:
        """Returns a look with the version's action."""
        self.looks += 1
        assert target.canary is not None
        assert target.canary.record is not None
        action = self.actions.get(target.canary.record.image, Action.WAIT)
        return look_of(action, now)


def look_of(action: Action, now: float) -> Look:
    """A look with an action and its figures."""
    errors = 20 if action is Action.ABORT else 0
    return Look(
        action=action,
        evidence=f"errors {errors} % of 100 requests, stable 0 % of 900 requests",
        at=int(now),
        canary=Figures(100, errors, 31),
        stable=Figures(900, 0, 30),
    )


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds of a canary pass in one."""
    hurry(monkeypatch)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ten seconds of a canary pass in one, and proxies reload at once."""
    monkeypatch.setattr(steady, "time", clock())
    monkeypatch.setattr(loop, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(figures, "RELOAD_SECONDS", 2)
    monkeypatch.setattr(figures, "ROUTE_SECONDS", 2)


def clock(*, back_seconds: float = 0.0) -> SimpleNamespace:
    """A clock that was set back, and time that passes ten times as fast."""
    return SimpleNamespace(
        time=lambda: time.time() - back_seconds, monotonic=lambda: FASTER * time.monotonic()
    )


def released(world: World, judge: Judge, **spec: Any) -> dict[str, Any]:
    """A released service with a canary; returns its spec."""
    spec = {"rollout": {"canary": CANARY}, **spec}
    world.start(build=build_desired_state, looks=judge)
    world.apply(**spec)
    world.until_ready()
    return spec


def canary(world: World) -> dict[str, Any]:
    """``status.canary``; empty without one."""
    found: dict[str, Any] = world.service().get("status", {}).get("canary") or {}
    return found


def in_phase(world: World, phase: str, *, within: float = 30.0) -> dict[str, Any]:
    """Plays the controllers until the canary is in a phase; returns its status."""

    def reached() -> dict[str, Any] | None:
        world.finish_rollouts()
        found = canary(world)
        return found if found.get("phase") == phase else None

    found: dict[str, Any] = eventually(reached, within=within)
    return found


def until_gone(world: World) -> None:
    """Plays the controllers until the canary is gone."""

    def gone() -> bool:
        world.finish_rollouts()
        left = (
            world.get("deployments", "shop-canary"),
            world.get("services", "shop-canary-pods"),
        )
        return left == (None, None)

    eventually(gone, within=40)


def until_released(world: World, image: str) -> None:
    """Plays the controllers until an image is released, and its canary has ended."""
    until_gone(world)

    def settled() -> bool:
        world.finish_rollouts()
        record = world.get("configmaps", "shop-canary")
        return image_of(world) == image and record is None and world.is_ready()

    eventually(settled, within=40)


def image_of(world: World, name: str = "shop") -> str:
    deployment = world.get("deployments", name)
    assert deployment is not None
    (app, *_) = deployment["spec"]["template"]["spec"]["containers"]
    return str(app["image"])


def releases(world: World) -> list[str]:
    """The images of the release records, oldest first."""
    records = sorted(
        world.kube.items(world.path("controllerrevisions")), key=lambda item: item["revision"]
    )
    return [item["data"]["spec"]["image"] for item in records]


def annotate(world: World, **requests: str | None) -> None:
    names = {f"fastapi-operator.io/{name}": value for name, value in requests.items()}
    world.kube.patch(world.path("fastapiservices", "shop"), {"metadata": {"annotations": names}})


def requests_about_canaries(world: World, since: int) -> list[str]:
    """Requests of the operator, without the list from which it reads digests of images."""
    return [text for text in world.requests(since) if text != "list pods/"]


def reasons(world: World) -> list[str]:
    """The reasons of the service's Events about its canaries, oldest first."""
    events = sorted(
        world.kube.items(world.path("events")),
        key=lambda item: int(item["metadata"]["resourceVersion"]),
    )
    return [item["reason"] for item in events if item["reason"].startswith("Canary")]


def test_a_version_that_is_not_worse_is_promoted_step_by_step(world: World) -> None:
    judge = Judge({NEW: Action.ADVANCE})
    spec = released(world, judge)
    assert canary(world) == {}
    assert world.get("configmaps", "shop-canary") is None
    world.apply(image=NEW, **spec)
    first = eventually(lambda: canary(world))
    assert (first["phase"], first["percent"], first["steps"]) == ("Starting", 0, 2)
    # Its pods are found by no proxy before they are ready.
    service = eventually(lambda: world.get("services", "shop-canary-pods"))
    assert service["spec"]["selector"]["fastapi-operator.io/canary"] == "none"
    assert image_of(world, "shop-canary") == NEW
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Reconciling")["status"] == "True"

    steps = set()

    def promoting() -> bool:
        world.finish_rollouts()
        found = canary(world)
        steps.add((found.get("step"), found.get("percent")))
        if found.get("phase") in ("Starting", "Progressing"):
            assert image_of(world) == "registry.test/shop:1"
            assert releases(world) == ["registry.test/shop:1"]
        return found.get("phase") not in ("Starting", "Progressing")

    eventually(promoting, within=30)
    assert {(1, 10), (2, 50)} <= steps
    until_released(world, NEW)
    assert image_of(world) == NEW
    assert releases(world) == ["registry.test/shop:1", NEW]
    assert eventually(lambda: world.condition("Reconciling")["status"] == "False")
    assert canary(world) == {}
    expected = ["CanaryStarted", "CanaryAdvanced", "CanaryAdvanced", "CanaryPromoted"]
    assert [reason for reason in expected if reason in reasons(world)] == expected
    since = world.mark()
    time.sleep(2)
    assert requests_about_canaries(world, since) == []


def test_a_worse_version_is_aborted_and_the_released_one_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The end takes two seconds, so that it is seen.
    monkeypatch.setattr(figures, "RELOAD_SECONDS", 20)
    judge = Judge({NEW: Action.WAIT})
    spec = released(world, judge)
    before = world.get("deployments", "shop")
    world.apply(image=NEW, **spec)
    in_phase(world, "Progressing")
    # The proxies have read the first step by now.
    time.sleep(3)
    judge.actions[NEW] = Action.ABORT
    assert in_phase(world, "Ending")["percent"] == 0
    # At once, and before any proxy has read another configuration.
    selector = eventually(lambda: world.get("services", "shop-canary-pods"))["spec"]["selector"]
    assert selector["fastapi-operator.io/canary"] == "none"
    assert world.get("deployments", "shop-canary") is not None
    in_phase(world, "Aborted")
    until_gone(world)
    stalled = world.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "CanaryAborted")
    assert stalled["message"].startswith("errors 20 % of 100 requests, stable 0 %")
    assert "registry.test/shop:1 serves all requests" in stalled["message"]
    assert world.condition("Ready")["status"] == "True"
    after = world.get("deployments", "shop")
    assert before is not None
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert releases(world) == ["registry.test/shop:1"]
    assert reasons(world)[-1] == "CanaryAborted"
    # It stays so, and costs nothing.
    time.sleep(1)
    since = world.mark()
    time.sleep(2)
    assert requests_about_canaries(world, since) == []
    # A restarted operator knows it.
    world.operators[0].stop()
    world.start(build=build_desired_state, looks=judge)
    time.sleep(2)
    assert world.get("deployments", "shop-canary") is None
    assert canary(world)["phase"] == "Aborted"

    # A fixed version starts again from the released one.
    judge.actions["registry.test/shop:3"] = Action.ADVANCE
    world.apply(image="registry.test/shop:3", **spec)
    in_phase(world, "Promoting", within=40)
    until_released(world, "registry.test/shop:3")
    assert releases(world) == ["registry.test/shop:1", "registry.test/shop:3"]


def test_people_hold_promote_and_abort_the_canary_that_they_name(world: World) -> None:
    judge = Judge({NEW: Action.ADVANCE})
    spec = released(world, judge)
    annotate(world, hold="every")
    world.apply(image=NEW, **spec)
    held = in_phase(world, "Holding")
    assert (held["step"], held["percent"]) == (1, 10)
    assert world.condition("Reconciling")["reason"] == "CanaryHolding"
    annotate(world, abort="of-another", promote="of-another")
    time.sleep(1.5)
    assert canary(world)["phase"] == "Holding"
    annotate(world, abort=held["id"], promote=None)
    in_phase(world, "Aborted")
    until_gone(world)
    assert "a person requested it" in world.condition("Stalled")["message"]
    # Released all the same: a rolling update, without another canary.
    annotate(world, promote=held["id"], abort=None)
    until_released(world, NEW)
    assert releases(world) == ["registry.test/shop:1", NEW]

    judge.actions["registry.test/shop:3"] = Action.WAIT
    world.apply(image="registry.test/shop:3", **spec)
    third = in_phase(world, "Holding")
    annotate(world, promote=third["id"])
    until_released(world, "registry.test/shop:3")
    assert releases(world)[-1] == "registry.test/shop:3"


def test_a_newer_spec_starts_again_and_the_released_spec_ends_it(world: World) -> None:
    judge = Judge()
    spec = released(world, judge)
    world.apply(image=NEW, **spec)
    second = in_phase(world, "Progressing")
    world.apply(image="registry.test/shop:3", **spec)
    third = eventually(lambda: (it := canary(world)) and it["id"] != second["id"] and it)
    assert third["phase"] == "Starting"
    eventually(lambda: image_of(world, "shop-canary") == "registry.test/shop:3")
    in_phase(world, "Progressing")
    assert image_of(world) == "registry.test/shop:1"
    # A field of another part changes the proxy at once, and the canary not at all.
    world.apply(image="registry.test/shop:3", proxy={"replicas": 3}, **spec)
    eventually(lambda: (world.get("deployments", "shop-proxy") or {})["spec"]["replicas"] == 3)
    world.finish_rollouts()
    assert canary(world)["id"] == third["id"]
    world.apply(**spec)
    until_gone(world)
    eventually(lambda: canary(world) == {})
    world.until_ready()
    assert releases(world) == ["registry.test/shop:1"]
    assert world.condition("Stalled")["status"] == "False"
    assert judge.looks > 0
    looks = judge.looks
    time.sleep(1.5)
    assert judge.looks == looks


def test_a_step_without_enough_requests_ends_at_its_bound(world: World) -> None:
    bound = {**CANARY, "maxWaitSeconds": 20}
    spec = released(world, Judge(), rollout={"canary": bound})
    world.apply(image=NEW, **spec)
    in_phase(world, "Aborted")
    assert "step 1 was not decided within 20 s" in world.condition("Stalled")["message"]


def test_pods_that_do_not_become_ready_abort_it_with_their_cause(world: World) -> None:
    spec = released(world, Judge(), rollout={"canary": CANARY, "deadlineSeconds": 60})
    world.apply(image=NEW, **spec)
    deployment = eventually(lambda: world.get("deployments", "shop-canary"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    pod = {
        "metadata": {"name": "shop-canary-1", "labels": labels},
        "spec": {"containers": [{"name": "app", "image": NEW}]},
    }
    world.kube.request("POST", world.path("pods"), pod)
    world.report_container(
        "shop-canary-1",
        state={"waiting": {"reason": "ErrImagePull", "message": "no such image"}},
    )
    body = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1}
    world.kube.patch(f"{world.path('deployments', 'shop-canary')}/status", {"status": body})
    eventually(lambda: canary(world).get("phase") == "Aborted", within=40)
    message = world.condition("Stalled")["message"]
    assert message.startswith("its pods were not ready within 60 s: pod shop-canary-1")
    assert "no such image" in message
    assert world.condition("Ready")["status"] == "True"


def test_with_hold_a_failed_version_waits_for_a_person(world: World) -> None:
    holding = {"canary": {**CANARY, "onFailure": "Hold"}}
    judge = Judge({NEW: Action.ABORT})
    spec = released(world, judge, rollout=holding)
    world.apply(image=NEW, **spec)
    held = in_phase(world, "Holding")
    assert held["percent"] == 0
    assert eventually(lambda: world.condition("Stalled")["reason"] == "CanaryFailed")
    # Testers reach its pods, once no proxy sends other clients to them.

    def is_open() -> bool:
        service = world.get("services", "shop-canary-pods")
        assert service is not None
        return bool(service["spec"]["selector"]["fastapi-operator.io/canary"] == held["id"])

    eventually(is_open)
    assert world.get("deployments", "shop-canary") is not None
    annotate(world, abort=held["id"])
    in_phase(world, "Aborted")
    until_gone(world)
    assert world.condition("Stalled")["message"].startswith("errors 20 % of 100 requests")


def test_the_migration_runs_first_and_requests_to_restart_wait(world: World) -> None:
    judge = Judge({NEW: Action.WAIT})
    database = {"postgres": {"migrations": {}}}
    spec = released(world, judge, **database)
    (first,) = world.kube.items(world.path("jobs"))
    world.apply(image=NEW, **spec)

    def migrating() -> str | None:
        found = {item["metadata"]["name"] for item in world.kube.items(world.path("jobs"))}
        return next(iter(found - {first["metadata"]["name"]}), None)

    job = eventually(migrating)
    time.sleep(1)
    assert world.get("configmaps", "shop-canary") is None
    assert image_of(world) == "registry.test/shop:1"
    world.finish_job(job)
    in_phase(world, "Progressing")
    before = world.get("deployments", "shop")
    annotate(world, **{"restarted-at": "2026-12-01T00:00:00Z"})
    time.sleep(1.5)
    assert before is not None
    now = world.get("deployments", "shop")
    assert now is not None
    assert now["metadata"]["generation"] == before["metadata"]["generation"]
    judge.actions[NEW] = Action.ABORT
    in_phase(world, "Aborted")
    eventually(
        lambda: "the database keeps the schema" in world.condition("Stalled").get("message", "")
    )

    def restarted() -> bool:
        template = (world.get("deployments", "shop") or {})["spec"]["template"]
        annotations = template["metadata"].get("annotations") or {}
        return "fastapi-operator.io/restarted-at" in annotations

    eventually(restarted)
    assert image_of(world) == "registry.test/shop:1"


def test_a_first_release_has_no_canary_and_what_cannot_be_divided_is_released_at_once(
    world: World,
) -> None:
    judge = Judge()
    world.start(build=build_desired_state, looks=judge)
    world.apply()
    world.until_ready()
    # The released version has no canary: its proxies do not count versions.
    world.apply(image=NEW, rollout={"canary": CANARY})
    until_released(world, NEW)
    events = world.kube.items(world.path("events"))
    (skipped,) = [item["note"] for item in events if item["reason"] == "CanarySkipped"]
    assert skipped == (
        f"{NEW} is released without a canary: the released version has no spec.rollout.canary"
    )
    world.apply(image=NEW, port=8123, rollout={"canary": CANARY})
    eventually(lambda: len(releases(world)) == 3)
    until_released(world, NEW)
    assert judge.looks == 0
    notes = [item["note"] for item in world.kube.items(world.path("events"))]
    assert any("spec.port changed" in note for note in notes)


def test_a_lost_or_unreadable_record_starts_the_canary_again(world: World) -> None:
    spec = released(world, Judge())
    world.apply(image=NEW, **spec)
    first = in_phase(world, "Progressing")
    path = world.path("configmaps", "shop-canary")
    for damage in ("edit", "delete"):
        if damage == "edit":
            world.kube.patch(path, {"data": {"canary.json": '{"phase": "Promoting"}'}})
        else:
            world.kube.delete(path)

        def is_another(before: str = first["id"]) -> dict[str, Any] | None:
            found = canary(world)
            return found if found.get("id") not in (None, before) else None

        first = eventually(is_another)
        first = in_phase(world, "Progressing")
        assert image_of(world) == "registry.test/shop:1"
    assert releases(world) == ["registry.test/shop:1"]


def test_a_clock_that_is_set_back_stops_no_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge()
    spec = released(world, judge)
    world.apply(image=NEW, **spec)
    in_phase(world, "Progressing")
    eventually(lambda: judge.looks)
    monkeypatch.setattr(steady, "time", clock(back_seconds=36_000))
    judge.actions[NEW] = Action.ABORT
    in_phase(world, "Aborted")
    assert image_of(world) == "registry.test/shop:1"


def test_two_operators_release_a_version_once(world: World) -> None:
    judge = Judge({NEW: Action.ADVANCE})
    spec = released(world, judge)
    world.start(build=build_desired_state, looks=judge)
    world.apply(image=NEW, **spec)
    until_released(world, NEW)
    assert releases(world) == ["registry.test/shop:1", NEW]


FULL = os.environ.get("FAULTS") == "full"
EVERY = 1 if FULL else 12
ENDS = [(action, done) for action in (Action.ADVANCE, Action.ABORT) for done in (True, False)]
# One canary is promoted, and the write that ends the other one is not executed.
SOME = [(Action.ADVANCE, True), (Action.ABORT, False)]


@pytest.mark.parametrize(("action", "done"), ENDS if FULL else SOME)
def test_an_operator_that_is_killed_at_every_write_ends_where_an_undisturbed_one_does(
    world: World, tmp_path: Path, action: Action, done: bool
) -> None:
    """Each process is killed at a write; the next one has only the live objects."""
    judge = Judge({NEW: action})
    spec = released(world, judge)
    world.operators.pop().stop()
    world.apply(image=NEW, **spec)
    lives, ended = 0, False
    images = {"registry.test/shop:1"}

    def settled() -> bool:
        world.finish_rollouts()
        # The app never runs what is not released.
        assert image_of(world) in releases(world)
        images.add(image_of(world))
        if action is Action.ABORT:
            return canary(world).get("phase") == "Aborted"
        return world.is_ready() and image_of(world) == NEW and not canary(world)

    while not ended:
        lives += 1
        assert lives < 80, "no life gets any further"
        # A write that was not executed is tried again: the next life gets past it.
        number = EVERY + (lives % 2 if not done else 0)
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
    assert lives > max(1, 10 // EVERY), f"only {lives} lives: the faults did not happen"
    good = action is Action.ADVANCE
    assert releases(world) == ["registry.test/shop:1", *([NEW] if good else [])]
    assert images == {"registry.test/shop:1", *([NEW] if good else [])}
    assert world.get("deployments", "shop-canary") is None
    assert world.get("services", "shop-canary-pods") is None
    assert (world.get("configmaps", "shop-canary") is None) is good
    since = world.mark()
    with RunningOperator(
        world.kubeconfig, namespaces=(world.namespace,), build=build_desired_state, looks=judge
    ):
        time.sleep(3.0)
    assert world.writes(since) == []
