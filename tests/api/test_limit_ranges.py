"""LimitRanges of a real API server: pods follow them, and problems name what it would refuse."""

import copy
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.limit_ranges import Limits
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.limit_checks import limit_problems
from fastapi_operator.tuning.derive import derive
from tests.api.kube import RefusedError
from tests.api.world import World
from tests.golden.cases import CASES, load

# Above the derived amounts of all containers but those of app and database.
HARSH = {
    "type": "Container",
    "min": {"cpu": "150m", "memory": "160Mi"},
    "max": {"cpu": "6", "memory": "64Gi"},
    "default": {"cpu": "200m"},
    "maxLimitRequestRatio": {"cpu": "3", "memory": "1"},
}
OTHERS = (
    {"type": "Container", "max": {"memory": "100Mi"}},
    {"type": "Container", "max": {"cpu": "400m"}, "min": {"memory": "64Mi"}},
    {"type": "Container", "default": {"cpu": "300m"}, "maxLimitRequestRatio": {"cpu": "2"}},
    {"type": "Container", "maxLimitRequestRatio": {"memory": "1.5"}},
    {"type": "Container", "defaultRequest": {"memory": "1Gi"}, "default": {"memory": "2Gi"}},
    {"type": "Pod", "max": {"cpu": "700m", "memory": "700Mi"}},
    {"type": "Pod", "min": {"cpu": "200m"}, "maxLimitRequestRatio": {"memory": "1.2"}},
)
# With containers of the user, static files, Jobs and every part.
VARIED = ("full", "companions", "pods", "proxy-static", "schedules", "parts", "no-proxy")


def _limit(world: World, item: Mapping[str, Any]) -> Limits:
    """Creates a LimitRange, and returns it as the API server completes it."""
    body = {"metadata": {"name": "bounds"}, "spec": {"limits": [item]}}
    stored = world.kube.request("POST", _path(world, "limitranges"), body)
    return Limits.of(("bounds", item) for item in stored["spec"]["limits"])


def _path(world: World, plural: str) -> str:
    return f"/api/v1/namespaces/{world.namespace}/{plural}"


def _built(name: str, limits: Limits) -> Iterator[Desired]:
    case = load(name)
    facts = Facts(limits={case.service.metadata.namespace: limits})
    plan = derive(case.service, case.settings, facts)
    yield from build(case.service, plan, case.settings, facts)


def _refusal(world: World, desired: Desired) -> str:
    """Returns why the API server refuses the pods of an object; empty if it admits them."""
    template = desired.pod_template
    assert template is not None
    spec = copy.deepcopy(dict(template["spec"]))
    for name in ("serviceAccountName", "priorityClassName", "runtimeClassName"):
        # Other objects, which do not exist here.
        spec.pop(name, None)
    spec["automountServiceAccountToken"] = False
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "golden-", "labels": template["metadata"]["labels"]},
        "spec": spec,
    }
    try:
        world.kube.request("POST", _path(world, "pods"), pod, dryRun="All")
    except RefusedError as error:
        # A request above a default limit is refused as invalid, all else as forbidden.
        assert error.status in (403, 422), error
        return error.message
    return ""


def _wait_until_enforced(world: World) -> None:
    """Waits for the admission plugin, which reads LimitRanges through a cache."""
    least, most = {"cpu": "1m", "memory": "1Ki"}, {"cpu": "99", "memory": "1Ti"}
    for _ in range(100):
        for resources in ({"requests": least, "limits": most}, {"requests": most}):
            container = {"name": "a", "image": "a", "resources": resources}
            pod = {"metadata": {"generateName": "odd-"}, "spec": {"containers": [container]}}
            try:
                world.kube.request("POST", _path(world, "pods"), pod, dryRun="All")
            except RefusedError:
                return
        time.sleep(0.1)
    raise TimeoutError("the LimitRange is not enforced")


def test_every_container_of_every_pod_is_admitted_under_a_harsh_limit_range(world: World) -> None:
    limits = _limit(world, HARSH)
    _wait_until_enforced(world)
    refused, pods = {}, 0
    for name in CASES:
        for desired in _built(name, limits):
            if desired.pod_template is not None:
                pods += 1
                if message := _refusal(world, desired):
                    refused[name, desired.key.name] = message
    assert pods > 150
    assert refused == {}


def test_without_the_facts_most_pods_would_be_refused(world: World) -> None:
    _limit(world, HARSH)
    _wait_until_enforced(world)
    objects = [item for item in load("quota").objects if item.pod_template is not None]
    admitted = [desired.key.name for desired in objects if not _refusal(world, desired)]
    assert admitted == ["shop"], "its amounts are larger, and it has no sidecar"


@pytest.mark.parametrize("item", OTHERS, ids=str)
def test_problems_are_what_the_api_server_refuses(world: World, item: dict[str, Any]) -> None:
    limits = _limit(world, item)
    _wait_until_enforced(world)
    disagreements = []
    for name in VARIED:
        for desired in _built(name, limits):
            if desired.pod_template is not None:
                ours = [problem.message for problem in limit_problems(limits, [desired])]
                theirs = _refusal(world, desired)
                if bool(ours) != bool(theirs):
                    disagreements.append((name, desired.key.name, ours, theirs))
    assert disagreements == []
