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
            {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {}}]},
            "spec.volumes[1].hostPath.path: Required value",
        ),
        ({"containers": [{"name": "shipper"}]}, "spec.containers[0].image: Required value"),
        ({"env": [{"name": "A", "value": 5}]}, "spec.env[0].value: expected string"),
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
