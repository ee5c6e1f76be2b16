from typing import Any

import pytest

from fastapi_operator.api.guards import broken_guards
from tests.unit.services import service


def broken(**spec: Any) -> list[str]:
    return [problem.path for problem in broken_guards(service(**spec).spec)]


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ({"spec": {"hostNetwork": True}}, "spec.hostNetwork"),
        ({"spec": {"terminationGracePeriodSeconds": 5}}, "spec.terminationGracePeriodSeconds"),
        (
            {"metadata": {"labels": {"fastapi-operator.io/service": "other"}}},
            "metadata.labels[fastapi-operator.io/service]",
        ),
        ({"metadata": {"labels": {"job-name": "shop"}}}, "metadata.labels[job-name]"),
        (
            {"metadata": {"annotations": {"fastapi-operator.io/restarted-at": "x"}}},
            "metadata.annotations[fastapi-operator.io/restarted-at]",
        ),
        ({"metadata": {"finalizers": ["example.com/x"]}}, "metadata.finalizers"),
        (
            {"spec": {"containers": [{"name": "app", "resources": {}}]}},
            "spec.containers[app].resources",
        ),
        (
            {"spec": {"containers": [{"name": "x", "securityContext": {"privileged": True}}]}},
            "spec.containers[x].securityContext.privileged",
        ),
    ],
)
def test_a_guarded_field_of_the_pod_template_is_refused(
    template: dict[str, Any], path: str
) -> None:
    assert broken(podTemplate=template) == [f"spec.podTemplate.{path}"]


def test_fields_without_a_guard_are_accepted() -> None:
    assert (
        broken(
            podTemplate={
                "metadata": {"labels": {"team": "checkout"}, "annotations": {"a": "b"}},
                "spec": {
                    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["legacy"]}],
                    "securityContext": {"runAsUser": 1000},
                    "containers": [{"name": "app", "workingDir": "/srv"}],
                },
            },
            containers=[{"name": "auth", "image": "auth:1", "resources": {}}],
        )
        == []
    )


def test_names_that_the_operator_uses_are_refused() -> None:
    assert broken(containers=[{"name": "app", "image": "x"}]) == ["spec.containers[app].name"]
    assert broken(volumes=[{"name": "tmp", "emptyDir": {}}]) == ["spec.volumes[tmp].name"]


def test_a_refusal_has_the_reason_and_the_field_to_use_instead() -> None:
    (problem,) = broken_guards(
        service(podTemplate={"spec": {"containers": [{"name": "app", "image": "x"}]}}).spec
    )
    assert str(problem) == (
        "spec.podTemplate.spec.containers[app].image: must not be set: migrations and releases "
        "are identified by spec.image; set spec.image"
    )
