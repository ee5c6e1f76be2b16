"""Commands about a live service use the settings of its operator, which publishes them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_operator.reconcile.loop.published_settings import PublishedSettings
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from fastapi_operator.settings import Settings
from tests.api.kube import service_body, to_yaml
from tests.api.test_commands import run
from tests.api.world import World, eventually

NAME = "operator-settings"
MIRROR = {"registry": "mirror.test", "repository": "nginx", "tag": "1.30"}
OTHER = Settings.from_mapping(
    {
        "images": {"nginx": MIRROR, "redis": {**MIRROR, "repository": "redis", "tag": "8.0"}},
        "runAsUser": None,
        "profiles": {"internal": {"defaults": {"scaling": {"maxReplicas": 3}}}},
    }
)
SETTINGS = {name: getattr(OTHER, name) for name in ("images", "run_as_user", "profiles")}


def start(world: World, *, publish: bool = True, **settings: Any) -> Any:
    published = PublishedSettings(world.namespace, NAME) if publish else None
    chosen = {**SETTINGS, **settings}
    return world.start(build=build_desired_state, published=published, settings=chosen)


def published(world: World) -> dict[str, Any]:
    return eventually(lambda: world.get("configmaps", NAME))


def writes(world: World, since: int) -> list[str]:
    return [text for text in world.writes(since) if NAME in text]


def test_commands_use_the_settings_of_the_operator(world: World, tmp_path: Path) -> None:
    start(world)
    world.apply(redis={}, profile="internal")
    world.until_ready()
    source = f"ConfigMap {world.namespace}/{NAME} of operator "
    assert world.service()["status"]["settings"] == f"{world.namespace}/{NAME}"
    done = run(world, "diff", "shop")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert done.stderr.startswith(f"settings: {source}")
    # Other settings show false drift.
    (tmp_path / "built-in").write_text("profiles: {internal: {}}")
    done = run(world, "diff", "shop", "--settings", str(tmp_path / "built-in"))
    assert "-        image: mirror.test/nginx" in done.stdout
    explained = run(world, "explain", "shop", "-o", "json")
    assert explained.returncode == 0, explained.stderr
    record = json.loads(explained.stdout)
    assert record["settings"].startswith(source)
    values = {item["name"]: item["value"] for item in record["decisions"]}
    assert values["scaling.max_replicas"] == 3
    shown = json.loads(run(world, "status", "shop", "-o", "json").stdout)
    assert shown["settings"] == f"{world.namespace}/{NAME}"
    # A new service beside it is reconciled by the same operator.
    new = to_yaml(service_body("other", world.namespace, profile="internal"))
    done = run(world, "diff", "-f", "-", text=new)
    assert done.returncode == 1, done.stderr
    assert "mirror.test/nginx" in done.stdout
    rotated = run(world, "rotate", "shop")
    assert rotated.returncode == 0, rotated.stderr


def test_the_settings_are_written_on_change_only(world: World) -> None:
    since = world.mark()
    operator = start(world)
    content = published(world)["data"]["settings.yaml"]
    read = Settings.from_mapping(yaml.safe_load(content))
    assert read.images == OTHER.images
    assert read.run_as_user is None
    assert read.profiles["internal"].model_fields_set == {"defaults"}
    operator.stop()
    operator = start(world)
    world.apply()
    world.until_ready()
    assert len(writes(world, since)) == 1
    operator.stop()
    start(world, storage_class="fast", resync_seconds=10)
    eventually(lambda: "storageClass: fast" in published(world)["data"]["settings.yaml"])
    assert len(writes(world, since)) == 2
    world.kube.delete(world.path("configmaps", NAME))
    eventually(lambda: world.get("configmaps", NAME))


def test_a_service_that_no_operator_has_seen_has_the_settings_of_its_neighbour(
    world: World,
) -> None:
    operator = start(world)
    world.apply("shop")
    world.until_ready()
    operator.stop()
    world.apply("other")
    done = run(world, "explain", "other")
    assert done.returncode == 0, done.stderr
    assert f"settings: ConfigMap {world.namespace}/{NAME}" in done.stderr


@pytest.mark.parametrize("command", ["diff", "explain"])
def test_unknown_settings_end_a_command_with_a_remedy(
    world: World, tmp_path: Path, command: str
) -> None:
    operator = start(world, publish=False)
    world.apply(redis={})
    world.until_ready()
    assert "settings" not in world.service()["status"]
    done = run(world, command, "shop")
    assert done.returncode == 2
    assert "publishSettings=false" in done.stderr
    assert "--settings FILE" in done.stderr
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(OTHER.to_mapping()))
    done = run(world, command, "shop", "--settings", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"settings: {file}" in done.stderr
    operator.stop()
    start(world)
    published(world)
    eventually(lambda: "settings" in world.service()["status"])
    newer = {"data": {"settings.yaml": "unknownField: 1", "version": "9.9.9"}}
    world.kube.patch(world.path("configmaps", NAME), newer)
    done = run(world, command, "shop")
    assert done.returncode == 2
    assert "is of operator 9.9.9" in done.stderr
    world.kube.delete(world.path("configmaps", NAME))
    done = run(world, command, "shop")
    assert done.returncode == 2
    assert f"ConfigMap {world.namespace}/{NAME} does not exist" in done.stderr
    assert "Traceback" not in done.stderr
