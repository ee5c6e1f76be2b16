"""The pod that imports a new image: that of the app, without Secrets, token and network."""

import json
from typing import Any

import pytest

from fastapi_operator.facts import Facts
from fastapi_operator.parts import Part
from fastapi_operator.resources.build import build
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.preflight import request_of
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import service

ENABLED = {"preflight": "Enabled"}


def jobs(**spec: Any) -> list[Desired]:
    """The Jobs of the preflight of a service."""
    found = service(**{"rollout": ENABLED, **spec})
    plan = derive(found, Settings(), Facts())
    objects = build(plan.planned(found), plan, Settings(), Facts())
    return [item for item in objects if item.part is Part.PREFLIGHT]


def pod(**spec: Any) -> dict[str, Any]:
    (job,) = jobs(**spec)
    found: dict[str, Any] = job.body["spec"]["template"]["spec"]
    return found


def container(**spec: Any) -> dict[str, Any]:
    (found,) = pod(**spec)["containers"]
    return dict(found)


def options(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(container(**spec)["command"][-1])
    return found


def variables(**spec: Any) -> dict[str, Any]:
    return {item["name"]: item.get("value") for item in container(**spec)["env"]}


def secret(name: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "own", "key": "value"}}}


def test_without_the_field_nothing_is_checked() -> None:
    assert jobs(rollout={}) == jobs(rollout={"preflight": "Disabled"}) == []


def test_no_value_of_a_secret_reaches_the_pod() -> None:
    text = json.dumps(
        pod(
            redis={},
            queue={},
            postgres={},
            env=[secret("STRIPE_KEY")],
            envFrom=[{"secretRef": {"name": "own"}}, {"configMapRef": {"name": "open"}}],
            volumes=[
                {"name": "keys", "secret": {"secretName": "own"}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "own"}},
                {"name": "config", "configMap": {"name": "open"}},
            ],
            volumeMounts=[
                {"name": name, "mountPath": f"/{name}"} for name in ("keys", "data", "config")
            ],
            serviceAccount={"token": True},
        )
    )
    for word in ("secretKeyRef", "secretRef", "secretName", "persistentVolumeClaim"):
        assert word not in text
    assert text.count('"open"') == 2
    assert '"automountServiceAccountToken": false' in text


def test_placeholders_have_the_form_of_the_values() -> None:
    own = ("STRIPE_KEY", "MONGO_URL", "CELERY_BROKER_URL", "HOOK_URL", "MAIL_PORT")
    found = variables(
        postgres={"mode": "External", "secretRef": {"name": "db"}, "maxConnections": 100},
        redis={"mode": "External", "secretRef": {"name": "cache"}},
        connections={"database": {"driver": "asyncpg", "env": {"PG_SERVER": "Host"}}},
        env=[secret(name) for name in own],
    )
    assert found["DATABASE_URL"].startswith("postgresql+asyncpg://")
    assert found["REDIS_URL"] == "redis://127.0.0.1:6379/0"
    assert [found[name].partition(":")[0] for name in own] == [
        "preflight", "mongodb", "redis", "http", "6379",
    ]  # fmt: skip


def test_missing_parts_of_the_pod_are_options_of_the_check() -> None:
    assert options()["absent"] == []
    mounted = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": "own"}}
    assert options(volumes=[claim], **mounted)["absent"] == ["volumes"]
    keys = {"name": "v", "secret": {"secretName": "own"}}
    assert options(volumes=[keys], **mounted)["absent"] == ["Secret volumes"]
    assert options(envFrom=[{"secretRef": {"name": "own"}}])["absent"] == ["Secrets"]
    step = {"name": "fetch", "image": "fetch:1"}
    assert options(initContainers=[step])["absent"] == ["init containers"]
    assert options(initContainers=[{**step, "restartPolicy": "Always"}])["absent"] == []
    assert options(env=[secret("KEY")])["placeholders"] == ["KEY"]


def test_the_command_of_the_app_is_checked() -> None:
    assert options(app="shop.main:app")["command"] == ["uvicorn", "shop.main:app"]
    own = options(command=["gunicorn"], args=["shop:app"], app="shop:app")
    assert (own["command"], own["app"]) == (["gunicorn", "shop:app"], "shop:app")
    assert options(command=[])["command"] == []


def test_the_pod_runs_where_and_as_the_app_does() -> None:
    spec = {
        "availability": {"nodeSelector": {"pool": "web"}, "priorityClassName": "high"},
        "imagePullSecrets": [{"name": "registry"}],
        "imagePullPolicy": "Always",
        "podTemplate": {
            "spec": {"containers": [{"name": "app", "workingDir": "/srv"}], "hostAliases": []}
        },
        "parts": {"app": {"runtimeClassName": "gvisor", "podLabels": {"mesh": "in"}}},
    }
    found, (main,) = pod(**spec), pod(**spec)["containers"]
    assert found["nodeSelector"]["pool"] == "web"
    assert found["priorityClassName"] == "high"
    assert found["imagePullSecrets"] == [{"name": "registry"}]
    assert found["runtimeClassName"] == "gvisor"
    assert (main["imagePullPolicy"], main["workingDir"]) == ("Always", "/srv")
    assert main["securityContext"]["readOnlyRootFilesystem"] is True
    (job,) = jobs(**spec)
    labels = job.body["spec"]["template"]["metadata"]["labels"]
    assert "mesh" not in labels and labels["sidecar.istio.io/inject"] == "false"


def test_the_name_changes_with_whatever_reaches_the_pod() -> None:
    def name(**spec: Any) -> str:
        (job,) = jobs(**spec)
        return job.key.name

    changes: tuple[dict[str, Any], ...] = (
        {},
        {"image": "shop:2"},
        {"env": [{"name": "KEY", "value": "x"}]},
        {"resources": {"limits": {"memory": "2Gi"}}},
    )
    assert len({name(**change) for change in changes}) == len(changes)
    assert name(proxy={"replicas": 4}) == name()


@pytest.mark.parametrize("change", [{"env": []}, {"resources": {}}, {"postgres": {}}])
def test_a_checked_image_is_the_same_beside_another(change: dict[str, Any]) -> None:
    spec: dict[str, Any] = {"image": "shop:1", "app": "main:app"}
    assert request_of({**spec, **change}) == request_of(spec)
    assert request_of({**spec, "server": {"engine": "Granian"}}) != request_of(spec)
