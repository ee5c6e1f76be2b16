"""Owned objects are created, kept, and repaired; if nothing changed, no request is sent."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fastapi_operator.parts import Part
from fastapi_operator.reconcile.plan.desired_state import DesiredState
from fastapi_operator.resources.desired import Desired, Generated, Write
from tests.api import small
from tests.api.kube import service_body
from tests.api.world import World, eventually


def test_children_are_created_and_owned(world: World) -> None:
    world.start()
    created = world.apply()
    deployment = eventually(lambda: world.get("deployments", "shop"))
    owner = deployment["metadata"]["ownerReferences"][0]
    assert owner["uid"] == created["metadata"]["uid"]
    assert owner["controller"] is True
    assert owner["blockOwnerDeletion"] is False
    world.until_ready()
    metadata = world.service()["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata


def test_a_fresh_service_costs_its_objects_and_four_requests(world: World) -> None:
    world.start()
    since = world.mark()
    world.apply()
    world.until_ready()
    # ConfigMap, Service, Deployment, autoscaler, release record; status at first and when ready;
    # the namespace and its LimitRanges before the first plan.
    assert len(world.requests(since)) == 5 + 2 + 2, world.requests(since)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("configmaps", "shop-app"),
        ("services", "shop"),
        ("deployments", "shop"),
        ("horizontalpodautoscalers", "shop"),
    ],
)
def test_a_deleted_child_is_created_again(world: World, kind: str, name: str) -> None:
    world.start()
    world.apply()
    world.until_ready()
    uid = world.get(kind, name)["metadata"]["uid"]
    since = world.mark()
    world.kube.delete(world.path(kind, name))
    eventually(lambda: (world.get(kind, name) or {}).get("metadata", {}).get("uid", uid) != uid)
    world.until_ready()
    assert world.child_writes(since) == [f"patch {kind}/{name}"]


def test_an_object_that_is_deleted_often_is_always_created_again(world: World) -> None:
    world.start()
    world.apply(scaling={"replicas": 2})
    world.until_ready()
    for _ in range(8):
        world.kube.delete(world.path("deployments", "shop"))
        eventually(lambda: world.get("deployments", "shop"))
    world.until_ready()
    assert world.condition("Stalled")["status"] == "False"


EDITS: list[tuple[str, str, dict[str, Any]]] = [
    ("configmaps", "shop-app", {"data": {"GREETING": "bye"}}),
    ("configmaps", "shop-app", {"data": {"GREETING": None}}),
    ("services", "shop", {"spec": {"selector": {"app": "other"}}}),
    ("horizontalpodautoscalers", "shop", {"spec": {"maxReplicas": 50}}),
    ("deployments", "shop", {"metadata": {"labels": {"fastapi-operator.io/service": "x"}}}),
    ("deployments", "shop", {"metadata": {"labels": {"fastapi-operator.io/watched": None}}}),
    ("configmaps", "shop-app", {"metadata": {"labels": {"fastapi-operator.io/watched": None}}}),
    ("configmaps", "shop-app", {"metadata": {"ownerReferences": None}}),
]


@pytest.mark.parametrize(("kind", "name", "edit"), EDITS)
def test_an_edited_field_is_reset(world: World, kind: str, name: str, edit: dict[str, Any]) -> None:
    world.start()
    world.apply()
    world.until_ready()
    before = _meaning(world.get(kind, name))
    since = world.mark()
    world.kube.patch(world.path(kind, name), edit)
    assert _meaning(world.get(kind, name)) != before or world.writes(since)
    eventually(lambda: _covers(_meaning(world.get(kind, name)), before))
    world.until_ready()
    time.sleep(0.5)
    assert len(world.child_writes(since)) <= 2, world.writes(since)


def test_a_field_of_another_manager_is_kept(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    since = world.mark()
    world.kube.patch(
        world.path("configmaps", "shop-app"), {"metadata": {"annotations": {"team": "blue"}}}
    )
    time.sleep(1.0)
    assert world.requests(since) == []
    assert world.get("configmaps", "shop-app")["metadata"]["annotations"]["team"] == "blue"


def test_an_image_change_rolls_out_with_three_writes(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    since = world.mark()
    world.apply(image="registry.test/shop:2", scaling={"maxReplicas": 5})

    def rolled() -> bool:
        containers = world.get("deployments", "shop")["spec"]["template"]["spec"]["containers"]
        return containers[0]["image"] == "registry.test/shop:2"

    eventually(rolled)
    world.until_ready()
    # ConfigMap, Deployment and the release record; status when ready, and before that only where
    # it takes more than a second.
    asked = world.requests(since)
    assert len(asked) in (3 + 1, 3 + 2), asked


def test_undesired_objects_are_deleted(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    world.apply(scaling={"replicas": 3})
    eventually(lambda: world.get("horizontalpodautoscalers", "shop") is None)
    world.until_ready()
    assert world.get("deployments", "shop")["spec"]["replicas"] == 3


def test_an_unowned_object_with_the_labels_is_not_deleted(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    labels = world.get("configmaps", "shop-app")["metadata"]["labels"]
    foreign = {"metadata": {"name": "mine", "labels": labels}, "data": {"a": "b"}}
    world.kube.request("POST", world.path("configmaps"), foreign)
    world.apply(image="registry.test/shop:2")
    world.until_ready()
    assert world.get("configmaps", "mine") is not None


def test_more_than_ten_deletes_a_minute_are_stopped(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    mine = world.get("configmaps", "shop-app")["metadata"]
    for number in range(13):
        old = {"name": f"old-{number}", "labels": mine["labels"]}
        old["ownerReferences"] = mine["ownerReferences"]
        world.kube.request("POST", world.path("configmaps"), {"metadata": old})

    def left() -> list[str]:
        names = [body["metadata"]["name"] for body in world.kube.items(world.path("configmaps"))]
        return [name for name in names if name.startswith("old-")]

    eventually(lambda: len(left()) == 3)
    time.sleep(1.5)
    assert len(left()) == 3
    # The brake is for deletes alone.
    world.kube.delete(world.path("services", "shop"))
    eventually(lambda: world.get("services", "shop"))


def test_an_idle_operator_sends_no_requests(world: World) -> None:
    world.start()
    world.apply(postgres={"migrations": {}})
    world.until_ready()
    time.sleep(1.0)
    since = world.mark()
    time.sleep(5.0)
    assert world.requests(since) == []


def test_a_restart_writes_nothing(world: World) -> None:
    operator = world.start()
    for name in ("shop", "other"):
        world.apply(name, postgres={"migrations": {}})
        world.until_ready(name)
    operator.stop()
    since = world.mark()
    world.start()
    eventually(lambda: any("list" in text for text in world.requests(since)))
    time.sleep(3.0)
    assert world.writes(since) == []
    # The namespace's label names its profile; the services themselves are not read.
    read = [text for text in world.requests(since) if text.startswith("get")]
    assert set(read) <= {f"get namespaces/{world.namespace}"}


def test_drift_while_the_operator_is_down_is_repaired(world: World) -> None:
    operator = world.start()
    world.apply()
    world.until_ready()
    operator.stop()
    world.kube.patch(world.path("configmaps", "shop-app"), {"data": {"GREETING": "bye"}})
    world.kube.delete(world.path("services", "shop"))
    since = world.mark()
    world.start()
    eventually(lambda: world.get("services", "shop"))
    eventually(lambda: world.get("configmaps", "shop-app")["data"]["GREETING"] == "hello")
    time.sleep(0.5)
    assert sorted(world.child_writes(since)) == [
        "patch configmaps/shop-app",
        "patch services/shop",
    ]


def test_deletes_between_the_initial_list_and_the_watches_are_repaired(world: World) -> None:
    operator = world.start()
    world.apply()
    world.until_ready()
    operator.stop()
    doomed = [world.path("services", "shop")]

    def build(*arguments: Any) -> DesiredState:
        # The first pass runs after our lists and before Kopf has made its own.
        if doomed:
            world.kube.delete(doomed.pop())
        return small.build(*arguments)

    world.start(build=build)
    eventually(lambda: not doomed and world.get("services", "shop"))


def test_a_service_recreated_while_the_operator_is_down_gets_its_own_children(
    controlled_world: World,
) -> None:
    world = controlled_world
    operator = world.start()
    world.apply()
    eventually(lambda: world.get("deployments", "shop"))
    operator.stop()
    world.kube.delete(world.path("fastapiservices", "shop"))
    second = world.apply()["metadata"]["uid"]
    world.start()

    def adopted() -> bool:
        kinds = (("deployments", "shop"), ("configmaps", "shop-app"), ("services", "shop"))
        found = [world.get(*kind) for kind in kinds]
        return all(
            body is not None and body["metadata"]["ownerReferences"][0]["uid"] == second
            for body in found
        )

    eventually(adopted, within=60)


def test_a_fault_in_the_plan_is_reported_and_the_last_good_plan_is_kept(world: World) -> None:
    def fragile(
        body: Any, settings: Any, facts: Any, stage: Any = None, accepted: Any = None
    ) -> Any:
        if body["spec"]["image"].endswith(":bad"):
            raise ZeroDivisionError("no workers")
        return small.build(body, settings, facts, stage)

    world.start(build=fragile)
    world.apply(postgres={"migrations": {}})
    world.until_ready()
    world.apply(image="registry.test/shop:bad", postgres={"migrations": {}})
    stalled = eventually(
        lambda: world.condition("Stalled").get("status") == "True" and world.condition("Stalled")
    )
    assert "no workers" in stalled["message"]
    world.kube.delete(world.path("deployments", "shop"))
    deployment = eventually(lambda: world.get("deployments", "shop"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.test/shop:1"
    # The Job of the released version succeeded long ago: it is not asked for again.
    (job,) = world.kube.items(world.path("jobs"))
    world.kube.delete(world.path("jobs", job["metadata"]["name"]), propagationPolicy="Background")
    time.sleep(1.0)
    assert world.kube.items(world.path("jobs")) == []


def _of_unknown_kind(state: DesiredState) -> DesiredState:
    body = {**state.objects[0].body, "kind": "Gadget"}
    return replace(state, objects=(*state.objects, Desired(part=Part.APP, body=body)))


def _unwritable(state: DesiredState) -> DesiredState:
    body = {**state.objects[0].body, "kind": "Secret", "data": {}}
    templates: Any = {"url": 5}
    secret = Desired(
        part=Part.APP,
        body=body,
        write=Write.CREATE_ONCE,
        generate=Generated(("password",), templates),
    )
    return replace(state, objects=(secret, *state.objects))


def _without_status(state: DesiredState) -> DesiredState:
    part: Any = "gadget"
    return replace(state, objects=(*state.objects, replace(state.objects[0], part=part)))


@pytest.mark.parametrize("fault", [_of_unknown_kind, _unwritable, _without_status])
def test_an_error_of_the_operator_is_a_condition_and_other_objects_are_repaired(
    world: World, fault: Callable[[DesiredState], DesiredState]
) -> None:
    def fragile(
        body: Any, settings: Any, facts: Any, stage: Any = None, accepted: Any = None
    ) -> DesiredState:
        state = small.build(body, settings, facts, stage)
        return fault(state) if body["spec"]["image"].endswith(":bad") else state

    world.start(build=fragile)
    world.apply()
    world.until_ready()
    generation = world.apply(image="registry.test/shop:bad")["metadata"]["generation"]
    stalled = eventually(
        lambda: (found := world.condition("Stalled")).get("status") == "True" and found
    )
    assert "the operator failed" in stalled["message"]
    assert world.condition("Ready")["status"] == "False"
    assert world.service()["status"]["observedGeneration"] == generation
    world.kube.delete(world.path("services", "shop"))
    eventually(lambda: world.get("services", "shop"))
    world.apply()
    world.until_ready()


def test_a_suspended_service_is_not_changed(world: World) -> None:
    world.start()
    world.apply()
    world.until_ready()
    world.apply(suspend=True)
    eventually(lambda: world.condition("Ready").get("reason") == "Suspended")
    world.kube.delete(world.path("configmaps", "shop-app"))
    time.sleep(1.5)
    assert world.get("configmaps", "shop-app") is None
    # A newer spec is not applied, and so the service is not Ready at its generation.
    world.apply(suspend=True, image="registry.test/shop:2")
    eventually(lambda: world.condition("Ready")["observedGeneration"] == 3)
    assert world.condition("Ready")["status"] == "False"
    assert "the newest spec is not applied" in world.condition("Ready")["message"]
    world.apply(suspend=False)
    eventually(lambda: world.get("configmaps", "shop-app"))


def test_a_dry_run_writes_nothing(world: World) -> None:
    since = world.mark()
    world.start(dry_run=True)
    world.apply()
    time.sleep(2.5)
    assert world.writes(since) == []
    assert "status" not in world.service() or "conditions" not in world.service()["status"]


def test_deleting_the_service_removes_its_children(controlled_world: World) -> None:
    world = controlled_world
    world.start()
    world.apply()
    eventually(lambda: world.condition("Ready"))
    since = world.mark()
    world.kube.delete(world.path("fastapiservices", "shop"))
    eventually(lambda: world.get("deployments", "shop") is None, within=60)
    eventually(lambda: world.get("configmaps", "shop-app") is None, within=60)
    # A status that was on its way may still arrive; no child is made again.
    assert world.child_writes(since) == []


def test_two_services_do_not_disturb_each_other(world: World) -> None:
    world.start()
    for name in ("one", "two"):
        body = service_body(name, world.namespace)
        world.kube.apply(world.path("fastapiservices", name), body)
    world.until_ready("one")
    world.until_ready("two")
    world.kube.delete(world.path("fastapiservices", "one"))
    time.sleep(0.5)
    assert world.is_ready("two")


def _meaning(body: dict[str, Any] | None) -> dict[str, Any]:
    if body is None:
        return {}
    metadata = body["metadata"]
    return {
        "labels": metadata.get("labels", {}),
        "owners": [item["uid"] for item in metadata.get("ownerReferences", [])],
        "spec": body.get("spec", {}),
        "data": body.get("data", {}),
    }


def _covers(now: Any, before: Any) -> bool:
    """Whether everything that was there is there again; additions of others may stay."""
    if isinstance(before, dict):
        return isinstance(now, dict) and all(
            name in now and _covers(now[name], value) for name, value in before.items()
        )
    return now == before
