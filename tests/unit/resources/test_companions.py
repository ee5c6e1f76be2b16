"""Volumes and native sidecars of the app, in the pods of the image's other processes."""

from collections.abc import Mapping
from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.resources.operands import wanted
from tests.unit.services import service

PROXY = {"name": "sql-proxy", "image": "proxy:2", "restartPolicy": "Always"}
STEP = {"name": "fetch", "image": "fetch:1"}
SPEC: dict[str, Any] = {
    "volumes": [
        {"name": "keys", "configMap": {"name": "keys"}},
        {"name": "unused", "emptyDir": {}},
    ],
    "volumeMounts": [{"name": "keys", "mountPath": "/keys"}],
    "initContainers": [STEP, PROXY],
    "background": [{"name": "mailer", "command": ["mail"]}],
    "schedules": [{"name": "report", "schedule": "@daily", "command": ["report"]}],
}


def pods(**spec: Any) -> dict[str, Mapping[str, Any]]:
    """The pods of the image's processes beside the app, by the name of their container."""
    found = {}
    for item in wanted(**SPEC | spec).values():
        body = item.body.get("spec", {})
        body = body.get("jobTemplate", {}).get("spec", body)
        pod = body.get("template", {}).get("spec", {})
        for container in pod.get("containers", ()):
            if container["name"] in ("migrate", "mailer", "report"):
                found[container["name"]] = pod
    assert len(found) == 3
    return found


def mounts(pod: Mapping[str, Any]) -> dict[str, str]:
    return {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}


@pytest.mark.parametrize("name", ["migrate", "mailer", "report"])
def test_every_process_gets_the_mounted_volumes_and_the_native_sidecars(name: str) -> None:
    pod = pods()[name]
    assert mounts(pod)["/keys"] == "keys"
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert "keys" in volumes
    assert "unused" not in volumes
    steps = {container["name"]: container for container in pod["initContainers"]}
    assert "fetch" not in steps
    assert steps["sql-proxy"]["restartPolicy"] == "Always"
    assert steps["sql-proxy"]["securityContext"]["allowPrivilegeEscalation"] is False


def test_a_migration_has_variables_volumes_and_resources_of_its_own() -> None:
    migrations = {
        "env": [{"name": "STATEMENTS", "value": "verbose"}],
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
        "volumes": [{"name": "keys", "secret": {"secretName": "owner-keys"}}],
        "volumeMounts": [{"name": "keys", "mountPath": "/keys", "readOnly": True}],
    }
    found = pods(postgres={"migrations": migrations})
    pod = found["migrate"]
    (container,) = pod["containers"]
    assert {"name": "STATEMENTS", "value": "verbose"} in container["env"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}
    assert container["resources"]["requests"] == {"cpu": "100m", "memory": "2Gi"}
    keys = {"name": "keys", "mountPath": "/keys", "readOnly": True}
    assert [mount for mount in container["volumeMounts"] if mount["name"] == "keys"] == [keys]
    secret = {"name": "keys", "secret": {"secretName": "owner-keys"}}
    assert [volume for volume in pod["volumes"] if volume["name"] == "keys"] == [secret]
    assert secret not in found["mailer"]["volumes"]


def warnings(**spec: Any) -> list[str]:
    plan = derive(service(**spec), Settings(), Facts())
    return [str(problem) for problem in plan.problems if "containers" in problem.path]


def test_a_container_that_only_the_app_gets_is_reported() -> None:
    shipper = [{"name": "shipper", "image": "shipper:1"}]
    (warning,) = warnings(**SPEC | {"containers": shipper})
    assert "spec.containers[shipper]" in warning
    assert "spec.background and spec.schedules" in warning
    assert "restartPolicy: Always" in warning
    assert warnings(containers=shipper) == []
