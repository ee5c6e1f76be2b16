"""``deploy`` against an API server: checks, applied objects, waits and reports."""

import base64
import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from fastapi_operator.cli.main import app
from fastapi_operator.reconcile.plan.desired_state import build_desired_state
from tests.api.test_commands import MAIN
from tests.api.test_migrations import jobs
from tests.api.test_one_migration import external, secret
from tests.api.test_preflight import ENABLED, check, finish
from tests.api.world import World, eventually
from tests.docs import blocks
from tests.unit.cli.test_deploy import install

IMAGE = "registry.test/shop:2"
# The archive that buildah writes: its name is between the transport and the image.
CREATE = 'touch "$(echo "$3" | cut -d: -f2)"'


def service(project: Path, **spec: object) -> None:
    """Writes the file of the service."""
    body = {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": "shop", "labels": {"team": "shop"}},
        "spec": {"image": "registry.test/shop:1", **spec},
    }
    (project / "service.yaml").write_text(yaml.safe_dump(body))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    service(folder)
    return folder


@contextlib.contextmanager
def deploying(
    world: World, project: Path, *arguments: str, stdin: int = subprocess.DEVNULL
) -> Iterator["subprocess.Popen[str]"]:
    """A running command in the test's namespace."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "deploy", str(project), "-n", world.namespace, *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "KUBECONFIG": str(world.kubeconfig)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def deploy(world: World, project: Path, *arguments: str, path: Path | None = None) -> Result:
    """A command that does not ask, in this process, because another one takes a second."""
    before = world.kubeconfig.read_bytes()
    environment = {"KUBECONFIG": str(world.kubeconfig)}
    if path is not None:
        environment["PATH"] = f"{path}{os.pathsep}{os.environ['PATH']}"
    command = ["deploy", str(project), "-n", world.namespace, "--yes", *arguments]
    done = CliRunner().invoke(app, command, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert world.kubeconfig.read_bytes() == before
    return done


def read_until(process: "subprocess.Popen[str]", words: str) -> None:
    """Reads what a command writes on standard error until it has the words."""
    assert process.stderr is not None
    text = ""
    while words not in text:
        piece = process.stderr.read(1)
        assert piece, text
        text += piece


def deploy_with_answers(
    world: World, project: Path, *arguments: str, answers: Iterable[tuple[str, str]]
) -> None:
    """Runs a command at a terminal to its end: each answer is typed after the words before it."""
    ours, its = pty.openpty()
    with deploying(world, project, *arguments, stdin=its) as process:
        for question, typed in answers:
            read_until(process, question)
            # A terminal without echo drops what was typed before.
            time.sleep(0.2)
            os.write(ours, f"{typed}\n".encode())
        _, errors = process.communicate(timeout=30)
    os.close(ours)
    os.close(its)
    assert process.returncode == 0, errors


def test_a_service_is_applied_and_followed_until_its_url(world: World, project: Path) -> None:
    world.start(build=build_desired_state)
    service(project, redis={})
    with deploying(world, project, "--yes", "--image", IMAGE) as process:
        eventually(lambda: world.condition("ApplicationReady"))
        time.sleep(1.5)  # longer than the command's pause between two readings
        world.until_ready()
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert f"shop is ready: http://shop.{world.namespace}.svc" in output
    assert f"fastapi-operator open shop -n {world.namespace}" in output
    assert "s … app" in errors
    assert errors.index("✓ cache") < errors.index("✓ app")
    body = world.service()
    assert body["spec"] == {"image": IMAGE, "redis": {}}
    assert body["metadata"]["labels"] == {"team": "shop"}
    (fields,) = (
        item for item in body["metadata"]["managedFields"] if item["manager"] == "kubectl-fastapi"
    )
    assert fields["operation"] == "Apply"
    # A field that is removed from the file is removed from the service.
    service(project)
    done = deploy(world, project, "--image", IMAGE, "--timeout", "0")
    assert done.exit_code == 0, done.stderr
    assert world.service()["spec"] == {"image": IMAGE}


def test_a_failed_migration_ends_it_with_the_cause(world: World, project: Path) -> None:
    world.start(build=build_desired_state)
    secret(world, "one", "db.example.com")
    database = {**external("one"), "pooler": {"engine": "None"}, "migrations": {}}
    service(project, postgres=database)
    with deploying(world, project, "--yes", "--image", IMAGE) as process:
        (job,) = eventually(lambda: jobs(world))
        world.finish_job(job, failed="relation users already exists")
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 1, errors
    assert "shop is not ready: MigrationFailed: " in errors
    assert "relation users already exists" in errors
    assert "see all parts with: fastapi-operator status shop" in output


def test_a_failed_preflight_ends_it_with_its_message_instead_of_its_report(
    world: World, project: Path
) -> None:
    world.start(build=build_desired_state)
    service(project, rollout=ENABLED)
    with deploying(world, project, "--yes", "--image", IMAGE) as process:
        finish(world, check(world), "Failed", reason="MissingVariable", message="not set: KEY")
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1, errors
    assert "shop is not ready: PreflightFailed: " in errors
    assert "not set: KEY; set them in spec.env" in errors
    assert "last lines of" not in errors


def test_a_service_that_takes_too_long_ends_it_with_the_logs_of_failed_containers(
    world: World, project: Path
) -> None:
    world.start(build=build_desired_state)
    world.apply(image=IMAGE)
    for name, exit_code in (("shop-1", 1), ("shop-2", 0)):
        world.create_pod(name)
        world.report_container(name, state={"terminated": {"exitCode": exit_code}})
    done = deploy(world, project, "--image", IMAGE, "--timeout", "2")
    assert done.exit_code == 1
    assert "not ready within 2 s (--timeout)" in done.stderr
    assert "last lines of shop-1, container app:" in done.stderr
    assert "last lines of shop-2" not in done.stderr


def test_the_wait_can_be_ended(world: World, project: Path) -> None:
    with deploying(world, project, "--yes", "--image", IMAGE) as process:
        eventually(lambda: world.get("fastapiservices", "shop"))
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.endswith("the wait was ended; the rollout continues\n")


def test_the_pipeline_of_the_documentation_deploys(
    world: World, project: Path, tmp_path: Path
) -> None:
    page = (blocks.ROOT / "docs/deploy.md").read_text()
    text = page.partition("<!-- file: .github/workflows/deploy.yaml -->\n```yaml\n")[2]
    steps = yaml.safe_load(text.partition("```")[0])["jobs"]["deploy"]["steps"]
    (step,) = (step for step in steps if step.get("name") == "Deploy")
    assert step["env"].keys() == {"REGISTRY", "KUBECONFIG_FILE", "SHOP_SECRETS"}
    script = step["run"].replace("--namespace shop", f"--namespace {world.namespace}")
    requires_token(project)
    (project / "Dockerfile").write_text("FROM scratch\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    install(programs, "docker")
    install(programs, "fastapi-operator", f'exec {sys.executable} -c "{MAIN}" "$@"')
    world.start(build=build_desired_state)
    with subprocess.Popen(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **{name: value for name, value in os.environ.items() if name != "KUBECONFIG"},
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(tmp_path),
            "REGISTRY": "ghcr.io/acme",
            "KUBECONFIG_FILE": world.kubeconfig.read_text(),
            "SHOP_SECRETS": "TOKEN=from-the-pipeline\n",
        },
    ) as process:
        eventually(lambda: process.poll() is not None or world.get("fastapiservices", "shop"))
        if process.poll() is None:
            world.until_ready()
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "shop is ready: " in output
    assert values(world) == {"TOKEN": "from-the-pipeline"}
    assert world.service()["spec"]["image"].startswith("ghcr.io/acme/shop:")


def test_fields_of_another_program_are_a_conflict(world: World, project: Path) -> None:
    world.apply(image="registry.test/shop:1")
    done = deploy(world, project, "--image", IMAGE, "--timeout", "0")
    assert done.exit_code == 2
    assert "manages fields that would change: .spec.image" in done.stderr
    assert "--force-conflicts" in done.stderr
    assert world.service()["spec"]["image"].endswith(":1")
    done = deploy(world, project, "--image", IMAGE, "--timeout", "0", "--force-conflicts")
    assert done.exit_code == 0, done.stderr
    assert world.service()["spec"]["image"] == IMAGE


def requires_token(project: Path, *others: str) -> None:
    service(
        project,
        env=[
            {"name": key, "valueFrom": {"secretKeyRef": {"name": "shop-secrets", "key": key}}}
            for key in ("TOKEN", *others)
        ],
    )


def test_missing_objects_are_found_before_the_build(world: World, project: Path) -> None:
    requires_token(project)
    nowhere = World(world.kube, world.kubeconfig, "nowhere", world.audit_log)
    done = deploy(nowhere, project, "--image", IMAGE)
    assert done.exit_code == 2
    assert "namespace nowhere does not exist; create it with: kubectl create" in done.stderr
    done = deploy(world, project, "--image", IMAGE)
    assert done.exit_code == 2
    assert f"Secret {world.namespace}/shop-secrets does not exist" in done.stderr
    body = {"metadata": {"name": "shop-secrets"}, "stringData": {"OTHER": "x"}}
    world.kube.request("POST", world.path("secrets"), body)
    done = deploy(world, project, "--image", IMAGE)
    assert "shop-secrets has no key TOKEN" in done.stderr
    world.kube.patch(world.path("secrets", "shop-secrets"), {"stringData": {"TOKEN": "x"}})
    assert world.get("fastapiservices", "shop") is None
    assert deploy(world, project, "--image", IMAGE, "--timeout", "0").exit_code == 0


def values(world: World) -> dict[str, str]:
    """Returns the values of the created Secret, after a check of its label."""
    body = world.get("secrets", "shop-secrets")
    assert body is not None
    assert body["metadata"]["labels"] == {"fastapi-operator.io/watched": "true"}
    return {key: base64.b64decode(value).decode() for key, value in body["data"].items()}


def test_values_of_a_file_become_the_secret(world: World, project: Path, tmp_path: Path) -> None:
    requires_token(project)
    file = tmp_path / "values"
    options = ("--image", IMAGE, "--timeout", "0", "--secrets", str(file))
    file.write_text("OTHER=y\n")
    assert "TOKEN of Secret shop-secrets is not in it" in deploy(world, project, *options).stderr
    file.write_text("# of the shop\nTOKEN='quoted = value'\nOTHER=y\n")
    done = deploy(world, project, *options)
    assert done.exit_code == 0, done.stderr
    assert "quoted" not in done.stdout + done.stderr
    assert values(world) == {"TOKEN": "quoted = value"}
    # An existing Secret is not changed.
    file.write_text("TOKEN=other\n")
    assert deploy(world, project, *options).exit_code == 0
    assert values(world) == {"TOKEN": "quoted = value"}


def test_a_placeholder_is_not_accepted_as_a_password(
    world: World, project: Path, tmp_path: Path
) -> None:
    requires_token(project, "TOKEN_LIFETIME")
    file = tmp_path / "values"
    file.write_text("TOKEN=changethis\nTOKEN_LIFETIME=todo\n")
    options = ("--image", IMAGE, "--timeout", "0", "--secrets", str(file))
    done = deploy(world, project, *options)
    assert done.exit_code == 2
    assert f"--secrets {file}: the value of TOKEN is only a placeholder" in done.stderr
    assert world.get("secrets", "shop-secrets") is None
    answers = (("TOKEN: ", ""), ("Continue? ", "y"))
    deploy_with_answers(world, project, *options, answers=answers)
    found = values(world)
    assert len(found["TOKEN"]) > 40 and found["TOKEN_LIFETIME"] == "todo"


@pytest.mark.parametrize("typed", ["typed", ""])
def test_a_terminal_is_asked_for_values_without_showing_them(
    world: World, project: Path, typed: str
) -> None:
    requires_token(project)
    answers = (("TOKEN: ", typed), ("Continue? ", "y"))
    deploy_with_answers(world, project, "--image", IMAGE, "--timeout", "0", answers=answers)
    (value,) = values(world).values()
    assert value == typed or (not typed and len(value) > 40)


def test_a_value_that_is_not_secret_is_never_random(world: World, project: Path) -> None:
    requires_token(project, "REGION")
    (project / ".env").write_text("TOKEN=local\nREGION=eu\n")
    options = ("--image", IMAGE, "--timeout", "0")
    # Without a terminal, the file that has all values is named, and not read.
    done = deploy(world, project, *options)
    assert f"--secrets {project}/.env has all of them" in done.stderr
    answers = (("REGION:", ""), ("REGION:", "us"), ("TOKEN: ", ""), ("Continue? ", "y"))
    deploy_with_answers(world, project, *options, answers=answers)
    created = values(world)
    assert created["REGION"] == "us"
    assert len(created["TOKEN"]) > 40


def test_a_rejected_service_is_not_built(world: World, project: Path) -> None:
    service(project, redis={}, profile="x" * 300)
    done = deploy(world, project, "--image", IMAGE)
    assert done.exit_code == 2
    assert "spec.profile" in done.stderr


@pytest.mark.parametrize(("answer", "applied"), [("n", False), ("y", True)])
def test_a_terminal_is_asked_with_context_and_namespace(
    world: World, project: Path, answer: str, applied: bool
) -> None:
    ours, its = pty.openpty()
    arguments = ("--image", IMAGE, "--timeout", "0")
    with deploying(world, project, *arguments, stdin=its) as process:
        os.write(ours, f"{answer}\n".encode())
        _, errors = process.communicate(timeout=30)
    os.close(ours)
    os.close(its)
    context = yaml.safe_load(world.kubeconfig.read_text())["current-context"]
    assert f"context    {context}\nnamespace  {world.namespace}\n" in errors
    assert process.returncode == (0 if applied else 2), errors
    assert (world.get("fastapiservices", "shop") is not None) is applied


def test_the_image_is_built_saved_and_loaded_before_it_is_applied(
    world: World, project: Path, tmp_path: Path
) -> None:
    (project / "Dockerfile").write_text("FROM scratch\nCOPY service.yaml /\n")
    programs, log = tmp_path / "programs", tmp_path / "log"
    programs.mkdir()
    # A builder that writes what it is asked for, and a node's tool that reads the archive.
    install(
        programs,
        "buildah",
        f'echo "buildah $1" >> {log}; [ "$1" = push ] && {CREATE}; exit 0',
    )
    loader = programs / "loader"
    install(programs, "loader", f'echo "loader $#" >> {log}; test -f "$1"')
    arguments = ("--builder", "buildah", "--load", str(loader), "--tag", "7", "--timeout", "0")
    done = deploy(world, project, *arguments, path=programs)
    assert log.read_text().splitlines() == [
        "buildah version",
        "buildah build",
        "buildah push",
        "loader 1",
    ]
    assert "$ buildah build --format docker --layers --file" in done.stderr
    assert done.exit_code == 0, done.stderr
    assert world.service()["spec"]["image"] == "registry.test/shop:7"


def test_another_current_context_during_the_build_changes_nothing(
    world: World, project: Path, tmp_path: Path
) -> None:
    (project / "Dockerfile").write_text("FROM scratch\n")
    config = yaml.safe_load(world.kubeconfig.read_text())
    first = config["current-context"]
    config["clusters"].append({"name": "far", "cluster": {"server": "https://127.0.0.1:1"}})
    (user,) = (item["context"]["user"] for item in config["contexts"])
    config["contexts"].append({"name": "far", "context": {"cluster": "far", "user": user}})
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    programs = tmp_path / "programs"
    programs.mkdir()
    switch = f"sed -i 's/^current-context: .*/current-context: far/' {kubeconfig}"
    install(programs, "podman", f'[ "$1" = build ] && {switch}; exit 0')
    command = ["deploy", str(project), "-n", world.namespace, "--yes", "--timeout", "0"]
    options = ["--builder", "podman", "--registry", "ghcr.io/acme"]
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = {"KUBECONFIG": str(kubeconfig), "PATH": path}
    done = CliRunner().invoke(app, [*command, *options], env=environment)
    assert done.exit_code == 0, done.stderr
    assert f"context    {first}\n" in done.stderr
    assert yaml.safe_load(kubeconfig.read_text())["current-context"] == "far"
    assert world.get("fastapiservices", "shop") is not None


def test_a_refused_push_has_the_remedy_and_nothing_is_applied(
    world: World, project: Path, tmp_path: Path
) -> None:
    (project / "Dockerfile").write_text("FROM scratch\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    refusal = "requested access to the resource is denied"
    install(programs, "podman", f'[ "$1" = push ] && echo "{refusal}" && exit 125; exit 0')
    arguments = ("--builder", "podman", "--registry", "ghcr.io/acme")
    done = deploy(world, project, *arguments, path=programs)
    assert done.exit_code == 3
    assert refusal in done.stderr
    assert "log in with: podman login ghcr.io" in done.stderr
    assert world.get("fastapiservices", "shop") is None
