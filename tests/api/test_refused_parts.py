"""If the API server rejects a piece of a pod, the service is Stalled with the spec's own path."""

from typing import Any

import pytest

from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.world import World, eventually


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"availability": {"affinity": {"podAfinity": {}}}},
            "spec.availability.affinity.podAfinity: field not declared",
        ),
        (
            {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {"a": 1}}]},
            "spec.volumes[1].emptyDir.a: field not declared",
        ),
        ({"containers": [{"name": "shipper"}]}, "spec.containers[0].image: Required value"),
        (
            {"availability": {"tolerations": [{"key": "a", "operator": "Is"}]}},
            "spec.availability.tolerations[0].operator: Unsupported value",
        ),
        (
            {"podTemplate": {"spec": {"hostAliases": [{"ip": "nowhere", "hostnames": ["a"]}]}}},
            "spec.podTemplate.spec.hostAliases[0].ip: Invalid value",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_refused_piece_of_a_pod_stalls_with_its_path(
    world: World, spec: dict[str, Any], message: str
) -> None:
    world.start(build=build_desired_state)
    world.apply(**spec)
    stalled = eventually(
        lambda: (found := world.condition("Stalled")).get("status") == "True" and found
    )
    assert message in stalled["message"]
    assert "Deployment" in stalled["message"]
    world.apply()
    eventually(lambda: world.condition("Stalled").get("status") == "False")


MALFORMED: list[tuple[dict[str, Any], str]] = [
    (
        {"podTemplate": {"spec": {"containers": [{"image": "a"}]}}},
        "spec.podTemplate.spec.containers[0].name: is required",
    ),
    (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys"}}}]},
        "spec.env[0].valueFrom.secretKeyRef.key: is required",
    ),
    ({"envFrom": [{"secretRef": {}}]}, "spec.envFrom[0].secretRef.name: is required"),
    (
        {"podTemplate": {"spec": {"volumes": [{"emptyDir": {}}]}}},
        "spec.podTemplate.spec.volumes[0].name: is required",
    ),
    ({"volumes": [{"name": "a", "hostPath": {}}]}, "spec.volumes[0].hostPath.path: is required"),
    ({"env": [{"name": "A", "value": 5}]}, "spec.env[0].value: 5 must be a string"),
    ({"podTemplate": {"spec": {"containers": 5}}}, "spec.podTemplate.spec.containers: 5 must be"),
    (
        {"podTemplate": {"spec": {"volumes": [{"name": ["a"]}]}}},
        'spec.podTemplate.spec.volumes[0].name: ["a"] must be a string',
    ),
]


@pytest.mark.parametrize(("spec", "message"), MALFORMED)
def test_a_malformed_piece_of_a_pod_stalls_with_its_path_and_the_old_version_is_repaired(
    world: World, spec: dict[str, Any], message: str
) -> None:
    world.start(build=build_desired_state)
    world.apply()
    world.until_ready()
    generation = world.apply(**spec)["metadata"]["generation"]
    stalled = eventually(
        lambda: (found := world.condition("Stalled")).get("status") == "True" and found
    )
    assert message in stalled["message"]
    assert world.service()["status"]["observedGeneration"] == generation
    assert world.condition("Ready")["status"] == "False"
    world.kube.delete(world.path("deployments", "shop"))
    eventually(lambda: world.get("deployments", "shop"))
    world.apply()
    world.until_ready()
