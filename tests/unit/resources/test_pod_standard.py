"""The final pods against the restricted Pod Security Standard, as tests/api compares it."""

from typing import Any

import pytest

from fastapi_operator.api.guards import broken_guards
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.overrides import merged
from fastapi_operator.resources.pod import admitted
from fastapi_operator.resources.pod_standard import CONTROLS, pod_problems
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.resources.pod_faults import ALLOWED, BROKEN, Fault
from tests.unit.services import EVERYTHING, service

RESTRICTED = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
EXTRA = admitted({"name": "extra", "image": "a"})
BASE: dict[str, Any] = {"spec": {"securityContext": RESTRICTED, "containers": [EXTRA]}}


def found(given: FastAPIService) -> list[Problem]:
    plan = derive(given, Settings(), Facts())
    return list(pod_problems(plan.spec, build(given, plan, Settings(), Facts())))


def judged(template: dict[str, Any]) -> list[Problem]:
    body = {"kind": "Deployment", "spec": {"template": template}, "apiVersion": "apps/v1"}
    body["metadata"] = {"name": "shop", "namespace": "default"}
    return list(pod_problems(service().spec, [Desired(Part.APP, body)]))


def test_every_pod_of_the_operator_meets_the_standard() -> None:
    assert found(EVERYTHING) == []
    assert found(service()) == []


@pytest.mark.parametrize("fault", BROKEN)
def test_a_field_that_breaks_a_control_is_refused_with_its_path(fault: Fault) -> None:
    problems = judged(merged(BASE, fault.patch))
    assert any(problem.path.endswith(fault.path) for problem in problems), problems
    assert all(problem.remedy for problem in problems)


@pytest.mark.parametrize("fault", ALLOWED)
def test_an_allowed_field_is_accepted(fault: Fault) -> None:
    assert judged(merged(BASE, fault.patch)) == []


def test_every_control_is_broken_by_a_case() -> None:
    messages = [p.message for fault in BROKEN for p in judged(merged(BASE, fault.patch))]
    windows = {"spec": {"securityContext": {"windowsOptions": {"hostProcess": True}}}}
    messages += [problem.message for problem in judged(merged(BASE, windows))]
    assert [c.name for c in CONTROLS if not any(f"({c.name})" in m for m in messages)] == []


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}, "spec.volumes[a].hostPath"),
        (
            {"containers": [{"name": "a", "image": "a", "ports": [
                {"containerPort": 1, "hostPort": 1}]}]},
            "spec.containers[a].ports[1].hostPort",
        ),
        (
            {"containers": [{"name": "a", "image": "a", "securityContext": {
                "procMount": "Unmasked"}}]},
            "spec.containers[a].securityContext.procMount",
        ),
        (
            {"initContainers": [{"name": "a", "image": "a", "securityContext": {
                "seLinuxOptions": {"type": "spc_t"}}}]},
            "spec.initContainers[a].securityContext.seLinuxOptions.type",
        ),
        (
            {"podTemplate": {"spec": {"securityContext": {
                "sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}}},
            "spec.podTemplate.spec.securityContext.sysctls[kernel.msgmax]",
        ),
        (
            {"podTemplate": {"spec": {"volumes": [{"name": "b", "hostPath": {"path": "/"}}]}}},
            "spec.podTemplate.spec.volumes[b].hostPath",
        ),
        (
            {"podTemplate": {"spec": {"containers": [{"name": "app", "securityContext": {
                "runAsUser": 0}}]}}},
            "spec.podTemplate.spec.containers[app].securityContext.runAsUser",
        ),
        (
            {"containers": [{"name": "a", "image": "a", "env": [{"name": "X"}, {"name": "X"}]}]},
            "spec.containers[a].env[X]",
        ),
        (
            {"volumes": [{"name": "a", "emptyDir": {}}],
             "volumeMounts": [{"name": "a", "mountPath": "/tmp"}]},
            "spec.volumeMounts[/tmp]",
        ),
        (
            {"podTemplate": {"spec": {"hostAliases": [
                {"ip": "192.0.2.1", "hostnames": ["a"]}, {"ip": "192.0.2.1", "hostnames": ["b"]}
            ]}}},
            "spec.podTemplate.spec.hostAliases[192.0.2.1]",
        ),
    ],
)  # fmt: skip
def test_the_path_is_that_of_the_field_in_the_spec(spec: dict[str, Any], path: str) -> None:
    assert path in [problem.path for problem in found(service(**spec))]


@pytest.mark.parametrize("field", ["nodeName", "serviceAccount"])
def test_fields_that_evade_the_scheduler_or_the_account_are_refused(field: str) -> None:
    given = service(podTemplate={"spec": {field: "other"}})
    assert [p.path for p in broken_guards(given.spec)] == [f"spec.podTemplate.spec.{field}"]


def test_a_container_that_only_the_patch_has_meets_the_standard() -> None:
    template = {"spec": {"containers": [{"name": "late", "image": "a"}]}}
    assert found(service(podTemplate=template)) == []
