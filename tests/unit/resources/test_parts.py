"""What ``spec.parts`` changes in the objects of every part, and what every pod has."""

from collections.abc import Mapping
from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.platforms import MESH_ANNOTATIONS, MESH_LABELS
from fastapi_operator.profiles import Profile
from fastapi_operator.resources.build import build
from fastapi_operator.resources.checks import object_problems
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.golden.cases import CASES, load
from tests.unit.services import EVERYTHING, service

Body = Mapping[str, Any]
MONITORED = Facts(apis=frozenset({"monitoring.coreos.com/v1/PodMonitor"}))


def built(given: Any, settings: Settings | None = None) -> tuple[Desired, ...]:
    ours = settings or Settings()
    plan = derive(given, ours, MONITORED)
    assert not [p for p in plan.problems if p.severity == "error"], plan.problems
    return build(given, plan, ours, MONITORED)


def pods(objects: tuple[Desired, ...]) -> list[tuple[Part, Body]]:
    return [(item.part, item.pod_template) for item in objects if item.pod_template is not None]


def with_parts(**parts: Any) -> Any:
    return service(**{**EVERYTHING.written, "parts": parts})


# The pod that checks an image runs where the app does.
PARTS = sorted({part for part, _ in pods(built(EVERYTHING))} - {Part.PREFLIGHT})


@pytest.mark.parametrize("case", CASES)
def test_every_pod_runs_on_linux_only(case: str) -> None:
    for _, template in pods(load(case).objects):
        assert template["spec"]["nodeSelector"]["kubernetes.io/os"] == "linux"


@pytest.mark.parametrize("part", PARTS)
def test_each_part_takes_the_settings_of_a_pod(part: Part) -> None:
    settings = {
        "podLabels": {"team": "data"},
        "podAnnotations": {"example.com/a": "b"},
        "nodeSelector": {"pool": "x"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
        "runtimeClassName": "gvisor",
    }
    changed = pods(built(with_parts(**{part.value: settings})))
    for (of, template), (_, before) in zip(changed, pods(built(EVERYTHING)), strict=True):
        if of is Part.PREFLIGHT:
            continue
        if of is part:
            assert template["metadata"]["labels"].items() >= {"team": "data"}.items()
            assert template["metadata"]["annotations"].items() >= {"example.com/a": "b"}.items()
            assert template["spec"]["nodeSelector"] == {"pool": "x", "kubernetes.io/os": "linux"}
            assert template["spec"]["tolerations"] == [{"key": "x", "operator": "Exists"}]
            assert template["spec"]["runtimeClassName"] == "gvisor"
        elif of is not Part.EXPOSURE:
            assert template == before, of


@pytest.mark.parametrize("part", PARTS)
def test_pull_secrets_of_settings_and_spec_reach_each_part(part: Part) -> None:
    given = service(**{**EVERYTHING.written, "imagePullSecrets": [{"name": "b"}, {"name": "c"}]})
    settings = Settings.from_mapping({"imagePullSecrets": [{"name": "a"}, {"name": "b"}]})
    for of, template in pods(built(given, settings)):
        if of is part:
            names = [secret["name"] for secret in template["spec"]["imagePullSecrets"]]
            assert names == ["a", "b", "c"]


def test_pull_secrets_of_a_profile_reach_every_pod() -> None:
    profile = {"defaults": {"imagePullSecrets": [{"name": "robot"}]}}
    settings = Settings.from_mapping({"profiles": {"airgap": profile}})
    given = service(**{**_without("imagePullSecrets"), "profile": "airgap"})
    for _, template in pods(built(given, settings)):
        assert template["spec"]["imagePullSecrets"] == [{"name": "robot"}]


def _without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in EVERYTHING.written.items() if name not in names}


def test_only_the_pods_on_the_path_of_requests_may_join_a_mesh() -> None:
    joining = {Part.APP, Part.BACKGROUND, Part.PROXY}
    for part, template in pods(built(EVERYTHING)):
        metadata = template["metadata"]
        declines = metadata["labels"].items() >= MESH_LABELS.items()
        assert declines is (part not in joining), part
        assert (metadata.get("annotations", {}).items() >= MESH_ANNOTATIONS.items()) is declines


def test_a_part_joins_a_mesh_if_the_spec_asks_for_it() -> None:
    wanted = {"sidecar.istio.io/inject": "true"}
    for part, template in pods(built(with_parts(schedules={"podLabels": wanted}))):
        if part is Part.SCHEDULES:
            assert template["metadata"]["labels"].items() >= wanted.items()


def test_the_labels_of_a_part_win_over_those_of_a_profile() -> None:
    profile = {"labels": {"team": "platform", "cost": "1"}}
    settings = Settings.from_mapping({"profiles": {"p": profile}})
    given = service(profile="p", parts={"proxy": {"podLabels": {"team": "edge"}}})
    labels = {
        part: template["metadata"]["labels"] for part, template in pods(built(given, settings))
    }
    assert (labels[Part.PROXY]["team"], labels[Part.PROXY]["cost"]) == ("edge", "1")
    assert labels[Part.APP]["team"] == "platform"


def test_a_profile_may_set_parts_that_a_service_lacks() -> None:
    profile = {"defaults": {"parts": {"pooler": {"podLabels": {"a": "b"}},
                                      "proxy": {"nodeSelector": {"pool": "edge"}}}}}  # fmt: skip
    settings = Settings.from_mapping({"profiles": {"p": profile}})
    for part, template in pods(built(service(profile="p"), settings)):
        assert ("pool" in template["spec"]["nodeSelector"]) is (part is Part.PROXY)


def test_every_container_beside_the_main_one_can_be_named() -> None:
    for case in CASES:
        for part, template in pods(load(case).objects):
            first, *others = template["spec"]["containers"]
            others += template["spec"].get("initContainers", [])
            ours = [item for item in others if "terminationMessagePolicy" in item]
            for container in ours:
                name = container["name"].rstrip("-0123456789")
                assert name in part.record.named_containers, (case, part, name)
            assert part.record.container in ("", first["name"])


def test_the_resources_of_a_container_are_changed_alone() -> None:
    given = with_parts(
        pooler={"containers": {"reload": {"resources": {"limits": {"memory": "64Mi"}}}}}
    )
    for (part, template), (_, before) in zip(
        pods(built(given)), pods(built(EVERYTHING)), strict=True
    ):
        for new, old in zip(_containers(template), _containers(before), strict=True):
            if part is Part.POOLER and new["name"] == "reload":
                assert new["resources"]["limits"] == {"memory": "64Mi"}
                assert new["resources"]["requests"] == old["resources"]["requests"]
            else:
                assert new == old


def _containers(template: Body) -> list[Body]:
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]


def test_explain_has_the_resources_of_a_part() -> None:
    given = with_parts(
        pooler={"resources": {"requests": {"cpu": "300m"}, "limits": {"memory": "1Gi"}}}
    )
    pooler = derive(given, Settings(), Facts()).pooler
    assert pooler is not None
    assert pooler.cpu_request_millicores.reason == "set by spec.parts.pooler.resources.requests.cpu"
    assert pooler.memory_limit_bytes.value == 2**30


def test_an_annotation_that_weakens_a_pod_is_refused_where_it_is_set() -> None:
    name = "container.apparmor.security.beta.kubernetes.io/nginx"
    given = service(parts={"proxy": {"podAnnotations": {name: "unconfined"}}})
    plan = derive(given, Settings(), Facts())
    objects = build(given, plan, Settings(), Facts())
    (problem,) = object_problems(Inputs.of(given, plan, Settings(), Facts()), objects)
    assert problem.path == f"spec.parts.proxy.podAnnotations[{name}]"


def test_a_profile_has_the_same_parts_as_a_spec() -> None:
    profile = Profile.model_validate_json('{"defaults": {"parts": {"cache": {"podLabels": {}}}}}')
    assert profile.defaults.parts is not None
