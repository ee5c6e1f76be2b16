"""Argo CD and Flux, asked of live services in each state; UPDATE_GOLDEN=1 records the states."""

import os

import yaml

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.world import World, eventually
from tests.charts.test_gitops import RECORDED, STATES
from tests.judges import health

_FINALIZER = "example.com/hold"


def judge(world: World, state: str) -> None:
    """Compares the live service with the health that both must report for this state."""
    body = world.service()
    del body["metadata"]["managedFields"]
    if os.environ.get("UPDATE_GOLDEN"):
        RECORDED.mkdir(exist_ok=True)
        (RECORDED / f"{state}.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
    argo, flux = STATES[state]
    assert health.argo(body)[0] == argo, state
    assert health.flux(body) == flux, state


def test_each_state_has_its_gitops_health(world: World) -> None:
    world.apply()
    judge(world, "new")

    operator = world.start(build=build_desired_state)
    eventually(lambda: world.condition("Reconciling").get("status") == "True")
    judge(world, "progressing")

    world.until_ready()
    judge(world, "healthy")

    world.apply(suspend=True)
    eventually(lambda: world.condition("Ready").get("reason") == "Suspended")
    judge(world, "suspended")

    world.apply(profile="unknown")
    eventually(lambda: world.condition("Stalled").get("status") == "True")
    judge(world, "stalled")

    world.apply()
    world.until_ready()
    operator.stop()
    world.apply(port=9000)
    judge(world, "changed")

    path = world.path("fastapiservices", "shop")
    world.kube.patch(path, {"metadata": {"finalizers": [_FINALIZER]}})
    world.kube.delete(path)
    judge(world, "deleting")
    world.kube.patch(path, {"metadata": {"finalizers": None}})


def test_a_rollout_after_its_deadline_has_failed_until_it_succeeds(world: World) -> None:
    world.start(build=build_desired_state)
    world.apply(image="registry.test/shop:unknown")
    eventually(lambda: world.get("deployments", "shop"))
    path = world.path("deployments", "shop")
    given_up = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": 'ReplicaSet "shop-1" has timed out progressing.',
    }
    generation = world.kube.request("GET", path)["metadata"]["generation"]
    status = {"observedGeneration": generation, "conditions": [given_up]}
    world.kube.patch(f"{path}/status", {"status": status})
    eventually(lambda: world.condition("Stalled").get("status") == "True")
    assert "timed out progressing" in world.condition("Stalled")["message"]
    judge(world, "past-deadline")

    world.kube.patch(f"{path}/status", {"status": {"conditions": None}})
    world.apply()
    world.until_ready()
    assert world.condition("Stalled")["status"] == "False"


def test_no_child_has_the_marks_of_gitops_tools(world: World) -> None:
    marks = {
        "app.kubernetes.io/instance": "platform",
        "argocd.argoproj.io/instance": "platform",
        "kustomize.toolkit.fluxcd.io/name": "services",
        "helm.sh/chart": "fastapi-service-0.1.0",
    }
    notes = {"argocd.argoproj.io/tracking-id": "x", "meta.helm.sh/release-name": "shop"}
    world.start(build=build_desired_state)
    world.apply(postgres={}, redis={})
    path = world.path("fastapiservices", "shop")
    world.kube.patch(path, {"metadata": {"labels": marks, "annotations": notes}})
    world.apply(image="registry.test/shop:2", postgres={}, redis={})
    world.until_ready()
    kinds = ("deployments", "statefulsets", "services", "configmaps", "secrets")
    children = [body for kind in kinds for body in world.kube.items(world.path(kind))]
    assert len(children) >= 8
    for body in children:
        templates = body.get("spec", {}).get("template", {}) if "spec" in body else {}
        for metadata in (body["metadata"], templates.get("metadata", {})):
            labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
            assert labels.get("app.kubernetes.io/instance") in (None, "shop")
            assert not (marks.keys() - {"app.kubernetes.io/instance"}) & labels.keys()
            assert not notes.keys() & annotations.keys()
