"""``recommend`` for services of an API server: a pod's own figures need a node."""

from pathlib import Path

import yaml
from typer.testing import CliRunner, Result

from fastapi_operator.cli.main import app
from tests.api.world import World
from tests.unit.cli.test_measurements import MEASURED


def recommend(world: World, *arguments: str) -> Result:
    environment = {"KUBECONFIG": str(world.kubeconfig)}
    command = ["recommend", *arguments, "-n", world.namespace]
    return CliRunner().invoke(app, command, env=environment)


def own(folder: Path) -> tuple[str, ...]:
    """The shop, with settings: no operator publishes its own."""
    settings = folder / "settings.yaml"
    settings.write_text("{}")
    return ("shop", "--settings", str(settings))


def test_the_patch_of_a_live_service_is_accepted_and_leaves_no_recommendation(
    world: World, tmp_path: Path
) -> None:
    world.apply()
    file = tmp_path / "measured.yaml"
    file.write_text(yaml.safe_dump(MEASURED | {"service": f"{world.namespace}/shop"}))
    done = recommend(world, *own(tmp_path), "--measurements", str(file), "-o", "yaml")
    patch = yaml.safe_load(done.stdout)
    world.kube.patch(world.path("fastapiservices", "shop"), {"spec": patch["spec"]})

    assert world.service()["spec"]["resources"] == {"limits": {"memory": "160Mi"}}
    again = recommend(world, *own(tmp_path), "--measurements", str(file))
    assert again.stdout == "shop: no numbers to change\n"


def test_figures_of_another_service_are_refused(world: World, tmp_path: Path) -> None:
    world.apply()
    file = tmp_path / "measured.yaml"
    file.write_text(yaml.safe_dump(MEASURED | {"service": "elsewhere/shop"}))
    done = recommend(world, *own(tmp_path), "--measurements", str(file))

    assert done.exit_code == 2
    assert "service: elsewhere/shop must name one of shop" in done.stderr


def test_a_namespace_in_which_no_pod_runs_cannot_be_measured(world: World) -> None:
    empty = recommend(world, "--all")
    assert empty.exit_code == 2
    assert f"namespace {world.namespace} has no FastAPIService" in empty.stderr
    world.apply("shop")
    world.apply("stock")
    done = recommend(world, "--all")
    assert done.exit_code == 2
    assert "shop: no app pod is running" in done.stderr
    assert "stock: no app pod is running" in done.stderr
    assert "no service in namespace" in done.stderr
