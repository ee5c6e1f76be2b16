"""A wrong spec is refused at kubectl apply, with a message that names the field."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.api.kube import RefusedError, service_body, to_yaml
from tests.api.world import World
from tests.cluster.apiserver import ApiServer

WRONG: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"worker": 3}, ("spec.worker", "unknown field")),
    ({"server": {"workers": -1, "workerPolicy": "Fixed"}}, ("spec.server.workers",)),
    ({"image": None}, ("spec.image",)),
    ({"resources": {"limits": {"memory": "12 bananas"}}}, ("spec.resources.limits.memory",)),
    ({"server": {"engine": "Flask"}}, ("spec.server.engine",)),
    ({"scaling": {"minReplicas": 5, "maxReplicas": 2}}, ("spec.scaling",)),
]


@pytest.mark.parametrize(("spec", "messages"), WRONG, ids=lambda value: str(value)[:40])
def test_kubectl_apply_names_the_field(
    world: World, server: ApiServer, tmp_path: Path, spec: dict[str, Any], messages: tuple[str, ...]
) -> None:
    body = service_body("shop", world.namespace, **spec)
    if body["spec"]["image"] is None:
        del body["spec"]["image"]
    file = tmp_path / "service.yaml"
    file.write_text(to_yaml(body))
    done = subprocess.run(
        [server.programs / "kubectl", "--kubeconfig", server.kubeconfig, "apply", "-f", file],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path)},
    )
    assert done.returncode != 0
    for word in messages:
        assert word in done.stderr
    assert world.get("fastapiservices", "shop") is None


def test_server_side_apply_cannot_lose_a_section_by_emptying_it(world: World) -> None:
    """The API server makes the emptied section null, which would mean that it is not wanted."""
    world.apply(postgres={"backup": {}})
    with pytest.raises(RefusedError, match="null"):
        world.apply(postgres={})
    assert world.service()["spec"]["postgres"] == {"backup": {}}
    world.apply(postgres={"deletionPolicy": "Retain"})
    assert world.service()["spec"]["postgres"] == {"deletionPolicy": "Retain"}
