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
def test_what_something_else_rests_on_cannot_be_merged_away(
    template: dict[str, Any], path: str
) -> None:
    assert broken(podTemplate=template) == [f"spec.podTemplate.{path}"]


def test_what_is_free_may_be_said() -> None:
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


def test_names_of_the_operator_are_taken() -> None:
    assert broken(containers=[{"name": "app", "image": "x"}]) == ["spec.containers[app].name"]
    assert broken(volumes=[{"name": "tmp", "emptyDir": {}}]) == ["spec.volumes[tmp].name"]


def test_a_problem_says_what_rests_on_the_field_and_where_it_is_set() -> None:
    (problem,) = broken_guards(
        service(podTemplate={"spec": {"containers": [{"name": "app", "image": "x"}]}}).spec
    )
    assert str(problem) == (
        "spec.podTemplate.spec.containers[app].image: must not be set: migrations and releases "
        "are identified by spec.image; set spec.image"
    )
