"""A new operator version renders differently: a few services at a time, no database unasked."""

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.plan.desired_state import DesiredState, build_desired_state
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.stage import Stage
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.measurements import NOT_MEASURED, Measurements
from tests.api import small
from tests.api.world import World, eventually

NAMES = tuple(f"shop-{number}" for number in range(6))
NEW_POSTGRES = {"images": {"postgres": {"repository": "library/postgres", "tag": "18.9"}}}


def _longer(item: Desired) -> Desired:
    if item.key.kind != "Deployment":
        return item
    template = item.body["spec"]["template"]
    pod = {**template["spec"], "terminationGracePeriodSeconds": 77}
    spec = {**item.body["spec"], "template": {**template, "spec": pod}}
    return replace(item, body={**item.body, "spec": spec})


# The next version of the operator: it gives pods a longer grace period.
newer = small.changed(_longer)


def is_new(world: World, name: str) -> bool:
    pod = world.get("deployments", name)["spec"]["template"]["spec"]
    return bool(pod["terminationGracePeriodSeconds"] == 77)


def new_ones(world: World) -> list[str]:
    return [name for name in NAMES if is_new(world, name)]


def pending(world: World, name: str = "shop") -> dict[str, str]:
    found = world.service(name)["status"].get("pending", [])
    return {item["name"]: item["reason"] for item in found}


def finish(world: World, name: str) -> None:
    world.finish_rollout("deployments", world.get("deployments", name))


def test_a_new_version_reaches_a_few_services_at_a_time(world: World) -> None:
    operator = world.start()
    for name in NAMES:
        world.apply(name)
    for name in NAMES:
        world.until_ready(name)
    operator.stop()

    world.start(build=newer, settings={"rollouts_at_once": 2})
    eventually(lambda: len(new_ones(world)) == 2)
    waiting = [name for name in NAMES if name not in new_ones(world)]
    eventually(lambda: all(pending(world, name) for name in waiting))
    time.sleep(1.0)
    assert len(new_ones(world)) == 2
    reasons = pending(world, waiting[0])
    assert list(reasons) == [f"Deployment {waiting[0]}"]
    assert "new version" in reasons[f"Deployment {waiting[0]}"]
    assert all(world.is_ready(name) for name in waiting)

    # Edits are reverted while a service waits, to the present desired state.
    world.kube.delete(world.path("services", waiting[0]))
    eventually(lambda: world.get("services", waiting[0]))
    # The owner's own change does not wait.
    world.apply(waiting[-1], image="registry.test/shop:2")
    eventually(lambda: is_new(world, waiting[-1]))
    world.until_ready(waiting[-1])

    eventually(lambda: len(new_ones(world)) > 3)
    for name in NAMES:
        eventually(lambda name=name: is_new(world, name) or world.finish_rollouts())
        finish(world, name)
    eventually(lambda: all(world.is_ready(name) and not pending(world, name) for name in NAMES))


def test_a_version_whose_services_do_not_become_ready_stops_after_the_first_few(
    world: World,
) -> None:
    operator = world.start()
    for name in NAMES:
        world.apply(name)
    for name in NAMES:
        world.until_ready(name)
    operator.stop()
    since = world.mark()
    world.start(build=newer, settings={"rollouts_at_once": 1})
    eventually(lambda: len(new_ones(world)) == 1)
    time.sleep(3.0)
    assert len(new_ones(world)) == 1
    assert len([text for text in world.writes(since) if text.startswith("patch deploy")]) == 1
    (first,) = new_ones(world)
    assert "other services wait until this one is Ready" in pending(world, first)["rollout"]


def test_a_restarted_operator_hands_out_no_more_slots(world: World) -> None:
    operator = world.start()
    for name in NAMES:
        world.apply(name)
    for name in NAMES:
        world.until_ready(name)
    operator.stop()
    for _ in range(3):
        operator = world.start(build=newer, settings={"rollouts_at_once": 2})
        eventually(lambda: len(new_ones(world)) == 2)
        time.sleep(1.5)
        operator.stop()
        assert len(new_ones(world)) == 2
    world.start(build=newer, settings={"rollouts_at_once": 2})
    for name in new_ones(world):
        finish(world, name)
    eventually(lambda: len(new_ones(world)) == 4)
    assert not any("rollout" in pending(world, name) for name in NAMES if world.is_ready(name))


def test_a_database_is_not_restarted_without_an_approval(world: World) -> None:
    operator = world.start(build=build_desired_state)
    world.apply(postgres={})
    world.until_ready()
    operator.stop()
    before = world.get("statefulsets", "shop-postgres")["metadata"]["generation"]

    def restarted() -> bool:
        body = world.get("statefulsets", "shop-postgres")
        return bool(body["metadata"]["generation"] != before)

    world.start(build=build_desired_state, settings=NEW_POSTGRES)
    reason = eventually(lambda: pending(world).get("StatefulSet shop-postgres"))
    world.until_ready()
    # The owner's other changes are applied meanwhile.
    world.apply(image="registry.test/shop:2", postgres={})
    world.until_ready()
    time.sleep(0.5)
    assert not restarted()

    command = re.search(
        rf"kubectl annotate fas shop -n {world.namespace} (fastapi-operator.io/approve)=(\w+)",
        reason,
    )
    assert command, reason
    annotation, value = command.groups()
    path = world.path("fastapiservices", "shop")
    world.kube.patch(path, {"metadata": {"annotations": {annotation: "another"}}})
    time.sleep(0.5)
    assert not restarted()
    world.kube.patch(path, {"metadata": {"annotations": {annotation: value}}})
    eventually(restarted)
    world.until_ready()
    eventually(lambda: not pending(world))


def test_a_change_of_the_database_s_own_fields_is_applied_at_once(world: World) -> None:
    operator = world.start(build=build_desired_state)
    world.apply(postgres={})
    world.until_ready()
    operator.stop()
    before = world.get("statefulsets", "shop-postgres")["metadata"]["generation"]
    world.start(build=build_desired_state, settings=NEW_POSTGRES)
    eventually(lambda: pending(world))
    world.apply(postgres={"resources": {"requests": {"memory": "2Gi"}}})
    eventually(
        lambda: world.get("statefulsets", "shop-postgres")["metadata"]["generation"] != before
    )
    world.until_ready()
    assert not pending(world)


def test_a_held_value_is_shown_with_its_current_value(world: World) -> None:
    def larger(
        body: Mapping[str, Any],
        settings: Settings,
        facts: Facts,
        stage: Stage | None = None,
        accepted: Measurements = NOT_MEASURED,
    ) -> DesiredState:
        """A version whose formula for threads has changed."""
        spec = {**body["spec"], "server": {"threads": 77}}
        return build_desired_state({**body, "spec": spec}, settings, facts, stage)

    def threads() -> object:
        tuned = world.service()["status"]["tuning"]
        return next(item["value"] for item in tuned if item["name"] == "server.threads")

    operator = world.start(build=build_desired_state)
    for name in ("first", "shop"):
        world.apply(name)
        world.until_ready(name)
    operator.stop()
    before = threads()
    world.start(build=larger, settings={"rollouts_at_once": 1})
    eventually(lambda: pending(world) or pending(world, "first"))
    name = "shop" if pending(world) else "first"
    assert pending(world, name)["server.threads"] == f"{before} becomes 77"
    tuned = {item["name"]: item["value"] for item in world.service(name)["status"]["tuning"]}
    assert tuned["server.threads"] == before
