"""A real API server takes every object of every golden case, and its pods as restricted ones."""

import copy
import random
from typing import Any

import pytest

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import OWNED, owned_kind
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.projection import find_uncovered, owned_paths
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.overrides import merged
from fastapi_operator.resources.pod import admitted
from fastapi_operator.resources.pod_standard import pod_problems
from tests.api.kube import RefusedError
from tests.api.world import World
from tests.golden.cases import CASES, load
from tests.unit.resources.pod_faults import ALLOWED, BROKEN
from tests.unit.services import service

_OPTIONAL = {(kind.group, kind.kind) for kind in OWNED if kind.optional}


@pytest.fixture
def restricted(world: World) -> World:
    """A namespace that admits only restricted pods."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    world.kube.patch(f"/api/v1/namespaces/{world.namespace}", {"metadata": {"labels": labels}})
    return world


@pytest.mark.parametrize("name", CASES)
def test_every_object_is_valid_to_the_last_field(world: World, name: str) -> None:
    for desired in load(name).objects:
        if not _is_served(world, desired):
            continue
        path, body = _path(world, desired), _body(world, desired)
        found = world.kube.apply(
            path, body, manager=naming.FIELD_MANAGER, force="true", dryRun="All"
        )
        # The operator must not take a default or another form of a value for an override.
        assert list(find_uncovered(owned_paths(found), body)) == []


@pytest.mark.parametrize("name", CASES)
def test_every_pod_is_admitted_under_the_restricted_profile(restricted: World, name: str) -> None:
    for desired in load(name).objects:
        template = _template(desired)
        if template is not None:
            restricted.kube.request("POST", restricted.path("pods"), _pod(template), dryRun="All")


def test_a_pod_outside_the_restricted_profile_is_refused(restricted: World) -> None:
    (deployment,) = [item for item in load("no-proxy").objects if item.key.kind == "Deployment"]
    pod = _pod(_template(deployment))
    pod["spec"]["hostNetwork"] = True
    with pytest.raises(RefusedError, match="violates PodSecurity"):
        restricted.kube.request("POST", restricted.path("pods"), pod, dryRun="All")


def test_the_operators_check_agrees_with_the_pod_security_admission(restricted: World) -> None:
    """Each change alone, and 200 random pairs of changes, of a pod with an additional container."""
    (deployment,) = [item for item in load("no-proxy").objects if item.key.kind == "Deployment"]
    base = copy.deepcopy(dict(_template(deployment)))
    extra = {"name": "extra", "image": "registry.test/extra:1"}
    base["spec"]["containers"] = [*base["spec"]["containers"], admitted(extra)]
    chosen = random.Random(21)
    changes = [(item,) for item in (*BROKEN, *ALLOWED)]
    changes += [tuple(chosen.sample((*BROKEN, *ALLOWED), 2)) for _ in range(200)]
    disagreements = []
    for faults in changes:
        template: Any = base
        for fault in faults:
            template = merged(template, fault.patch)
        body = {**deployment.body, "spec": {"template": template}}
        ours = list(pod_problems(service().spec, [Desired(Part.APP, body)]))
        theirs = _violates(restricted, template)
        if theirs is not None and bool(ours) != theirs:
            disagreements.append((faults, [problem.path for problem in ours]))
    assert disagreements == []


def _violates(world: World, template: Any) -> bool | None:
    """Whether a pod violates the standard; None if another rule refuses it before."""
    try:
        world.kube.request("POST", world.path("pods"), _pod(template), dryRun="All")
    except RefusedError as error:
        if "violates PodSecurity" in error.message:
            return True
        # For example two sources of one volume, or privileged without escalation.
        assert error.status == 422, error
        return None
    return False


@pytest.fixture
def bounded(world: World) -> World:
    """A namespace with a ResourceQuota on all that a pod may ask for, and a LimitRange."""
    most = {
        f"{side}.{kind}": "1000" for side in ("requests", "limits") for kind in ("cpu", "memory")
    }
    most |= {name: "1000Gi" for name in most if name.endswith("memory")}
    path = f"/api/v1/namespaces/{world.namespace}"
    quota = {"metadata": {"name": "all"}, "spec": {"hard": most}}
    world.kube.request("POST", f"{path}/resourcequotas", quota)
    # As its controller does, which this API server has not.
    status = {"status": {"hard": most, "used": dict.fromkeys(most, "0")}}
    world.kube.patch(f"{path}/resourcequotas/all/status", status)
    # No maximum: it would become the limit of each container that has none.
    limits = {"limits": [{"type": "Container", "min": {"cpu": "1m", "memory": "16Mi"}}]}
    world.kube.request("POST", f"{path}/limitranges", {"metadata": {"name": "all"}, "spec": limits})
    return world


def test_pods_with_cpu_limits_are_admitted_under_a_quota(bounded: World) -> None:
    templates = [template for item in load("quota").objects if (template := _template(item))]
    assert len(templates) >= 9
    for template in templates:
        bounded.kube.request("POST", bounded.path("pods"), _pod(template), dryRun="All")


def test_pods_without_cpu_limits_are_refused_under_a_quota(bounded: World) -> None:
    (deployment,) = [item for item in load("no-proxy").objects if item.key.kind == "Deployment"]
    with pytest.raises(RefusedError, match=r"must specify limits\.cpu"):
        bounded.kube.request(
            "POST", bounded.path("pods"), _pod(_template(deployment)), dryRun="All"
        )


def _is_served(world: World, desired: Desired) -> bool:
    """Whether this API server, without add-ons, knows the kind; only optional ones may lack."""
    key = desired.key
    kind = owned_kind(key.group, key.kind)
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    served = world.kube.get(root) is not None
    assert served or (key.group, key.kind) in _OPTIONAL, key
    return served


def _path(world: World, desired: Desired) -> str:
    return owned_kind(desired.key.group, desired.key.kind).path(world.namespace, desired.key.name)


def _body(world: World, desired: Desired) -> dict[str, Any]:
    body = copy.deepcopy(dict(desired.body))
    body["metadata"]["namespace"] = world.namespace
    return body


def _template(desired: Desired) -> Any:
    """The pod template of a workload, wherever its kind keeps it."""
    spec = desired.body.get("spec", {})
    if desired.key.kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec.get("template")


def _pod(template: Any) -> dict[str, Any]:
    pod = copy.deepcopy(dict(template["spec"]))
    # Accounts, priority classes and runtime classes are other objects; only the pod is judged here.
    pod.pop("serviceAccountName", None)
    pod.pop("priorityClassName", None)
    pod.pop("runtimeClassName", None)
    pod["automountServiceAccountToken"] = False
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "golden-", "labels": template["metadata"]["labels"]},
        "spec": pod,
    }
