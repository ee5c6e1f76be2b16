"""A refused field of a child leads back to the field of the spec it was made from."""

from typing import Any

import pytest

from fastapi_operator.reconcile.plan.refusals import spec_path

SPEC: dict[str, Any] = {
    "image": "a",
    "availability": {"affinity": {"podAntiAffinity": {"required": [{"labelSelector": {}}]}}},
    "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDirr": {}}],
    "containers": [{"name": "shipper"}],
    "env": [{"name": "A", "value": 5}],
    "background": [{"name": "w", "command": ["w"], "env": [{"name": "B", "value": True}]}],
    "network": {"egressTo": [{"ports": [{"port": "x y"}]}]},
    "schedules": [{"name": "r", "schedule": "99 * * * *", "command": ["r"]}],
    "podTemplate": {"spec": {"hostAliases": [{"ip": "nonsense"}]}},
}
POD: dict[str, Any] = {
    "affinity": SPEC["availability"]["affinity"],
    "volumes": [{"name": "tmp", "emptyDir": {}}, *SPEC["volumes"]],
    "containers": [
        {"name": "app", "image": "a", "env": [{"name": "PORT", "value": "1"}, *SPEC["env"]]},
        {"name": "shipper", "securityContext": {"readOnlyRootFilesystem": True}},
    ],
    "hostAliases": [{"ip": "nonsense"}],
}
DEPLOYMENT = {"spec": {"template": {"spec": POD}}}
WORKER = {
    "spec": {
        "template": {
            "spec": {
                "containers": [{"name": "w", "env": [*SPEC["env"], {"name": "B", "value": True}]}]
            }
        }
    }
}
POLICY = {"spec": {"egress": [{"to": []}, {"ports": [{"port": "x y"}]}]}}
CRON = {"spec": {"schedule": "99 * * * *", "jobTemplate": {}}}


@pytest.mark.parametrize(
    ("field", "body", "path"),
    [
        (
            "spec.template.spec.affinity.podAntiAffinity.required[0].topologyKey",
            DEPLOYMENT,
            "spec.availability.affinity.podAntiAffinity.required[0].topologyKey",
        ),
        (
            '.spec.template.spec.volumes[name="b"].emptyDirr',
            DEPLOYMENT,
            "spec.volumes[1].emptyDirr",
        ),
        (
            "spec.template.spec.volumes[2].hostPath.path",
            DEPLOYMENT,
            "spec.volumes[1].hostPath.path",
        ),
        ("spec.template.spec.containers[1].image", DEPLOYMENT, "spec.containers[0].image"),
        (
            '.spec.template.spec.containers[name="app"].env[name="A"].value',
            DEPLOYMENT,
            "spec.env[0].value",
        ),
        (
            '.spec.template.spec.containers[name="w"].env[name="B"].value',
            WORKER,
            "spec.background[0].env[0].value",
        ),
        (
            "spec.template.spec.hostAliases[0].ip",
            DEPLOYMENT,
            "spec.podTemplate.spec.hostAliases[0].ip",
        ),
        ("spec.egress[1].ports[0].port", POLICY, "spec.network.egressTo[0].ports[0].port"),
        ("spec.schedule", CRON, "spec.schedules[0].schedule"),
        ("spec.template.spec.volumes[0].emptyDir.sizeLimit", DEPLOYMENT, None),
        ("spec.template.spec.containers[0].resources", DEPLOYMENT, None),
        ("spec.replicas", DEPLOYMENT, None),
    ],
)
def test_a_refused_field_is_reported_with_its_path_in_the_spec(
    field: str, body: dict[str, Any], path: str | None
) -> None:
    assert spec_path(field, body, SPEC) == path
