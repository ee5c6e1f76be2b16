"""``deploy`` until it reaches the cluster: output, files and errors."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fastapi_operator.cli.main import app
from tests import projects
from tests.unit.cli.test_init import MAIN, write

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: dev
contexts:
  - {name: dev, context: {cluster: kind-dev, user: one, namespace: team}}
  - {name: far, context: {cluster: far, user: one}}
clusters:
  - {name: kind-dev, cluster: {server: "https://127.0.0.1:1"}}
  - {name: far, cluster: {server: "https://127.0.0.1:1"}}
users: [{name: one, user: {token: secret}}]
"""
FAR = ("--context", "far", "--registry", "ghcr.io/acme")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without a service and without a Dockerfile."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return write(tmp_path / "shop", {"main.py": MAIN, "requirements.txt": "fastapi\nuvicorn\n"})


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with git, a builder and a tool of local clusters that only succeed."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "git").symlink_to(_which("git"))
    for name in ("podman", "kind"):
        install(folder, name)
    return folder


def _which(name: str) -> str:
    return subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout[:-1]


def install(folder: Path, name: str, script: str = "exit 0") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def deploy(project: Path, programs: Path, *arguments: str) -> Result:
    kubeconfig = project.parent / "kubeconfig"
    before = kubeconfig.read_bytes()
    environment = {
        "PATH": str(programs),
        "KUBECONFIG": str(kubeconfig),
        "HOME": str(project.parent),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    # Without a terminal; in this process, because another one takes a second.
    done = CliRunner().invoke(app, ["deploy", str(project), *arguments], env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert kubeconfig.read_bytes() == before
    return done


def git(project: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(project), *identity, *arguments], check=True)


def tag_of(done: Result) -> str:
    """Returns the tag in the object of a dry run."""
    assert done.exit_code == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("  image: ghcr.io/"))
    return line.rpartition(":")[2]


def test_without_a_terminal_it_acts_only_with_yes(project: Path, programs: Path) -> None:
    done = deploy(project, programs)
    assert done.exit_code == 2
    assert "add --yes, or --dry-run" in done.stderr
    assert sorted(path.name for path in project.iterdir()) == ["main.py", "requirements.txt"]


def test_a_dry_run_prints_files_commands_and_object_and_writes_nothing(
    project: Path, programs: Path
) -> None:
    done = deploy(project, programs, "--dry-run")
    assert done.exit_code == 0, done.stderr
    for name in ("service.yaml", "Dockerfile", ".dockerignore"):
        assert f"# write {project / name}\n" in done.stdout
    _, _, rest = done.stdout.partition("# run\n")
    commands, _, applied = rest.partition("\n# apply in context dev, namespace team\n")
    build, save, load = commands.strip().splitlines()
    image = shlex.split(save)[-1]
    assert image.startswith("localhost/shop:")
    assert build.startswith("podman build --format docker ")
    assert shlex.split(build)[-2:] == [image, str(project)]
    assert save == f"podman save --format docker-archive --output IMAGE.tar {image}"
    assert load == "kind load image-archive IMAGE.tar --name dev"
    assert f"  image: {image}\n" in applied
    assert "  namespace: team\n" in applied
    assert sorted(path.name for path in project.iterdir()) == ["main.py", "requirements.txt"]


def test_the_files_of_init_are_written_before_it_acts(project: Path, programs: Path) -> None:
    planned = tag_of(deploy(project, programs, "--dry-run", *FAR))
    done = deploy(project, programs, "--yes", *FAR)
    # The cluster is not reachable, so nothing is built.
    assert done.exit_code == 2
    assert "context    far" in done.stderr
    assert "namespace  default" in done.stderr
    assert f"image      ghcr.io/acme/shop:{planned}\n" in done.stderr
    assert "cannot reach the API server" in done.stderr
    assert "$ podman" not in done.stderr
    assert (project / "Dockerfile").exists()
    # The same sources have the same tag, and init is not repeated. The service does not count.
    with (project / "service.yaml").open("a") as file:
        file.write("# a comment\n")
    again = deploy(project, programs, "--dry-run", *FAR)
    assert tag_of(again) == planned
    assert "# write" not in again.stdout


def test_the_tag_is_the_commit_and_a_hash_of_other_content(project: Path, programs: Path) -> None:
    deploy(project, programs, "--yes", *FAR)
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "one")
    git(project, "tag", "v1.0")
    assert tag_of(deploy(project, programs, "--dry-run", *FAR)) == "v1.0"
    (project / "main.py").write_text(f"{MAIN}# changed\n")
    changed = tag_of(deploy(project, programs, "--dry-run", *FAR))
    assert changed.startswith("v1.0-")
    (project / "other.py").write_text("")
    assert tag_of(deploy(project, programs, "--dry-run", *FAR)) not in ("v1.0", changed)
    given = deploy(project, programs, "--dry-run", *FAR, "--tag", "mine")
    assert tag_of(given) == "mine"


def test_a_directory_with_secrets_is_refused_until_they_are_excluded(
    project: Path, programs: Path
) -> None:
    write(project, {"Dockerfile": "FROM scratch\nCOPY . /app\n", "app/.env": "PASSWORD=x\n"})
    done = deploy(project, programs, "--dry-run")
    assert done.exit_code == 2
    assert f"{project}/app/.env would become readable in the image" in done.stderr
    _, _, remedy = done.stderr.strip().partition("exclude it with: ")
    subprocess.run(["bash", "-c", remedy], check=True)
    assert deploy(project, programs, "--dry-run").exit_code == 0


def test_an_instruction_that_names_a_file_with_secrets_is_the_one_to_change(
    project: Path, programs: Path
) -> None:
    write(project, {"Dockerfile": "FROM a\nCOPY .env main.py /app/\n", ".env": "PASSWORD=x\n"})
    done = deploy(project, programs, "--dry-run")
    assert done.exit_code == 2
    assert "its own values: COPY .env main.py /app/" in done.stderr


def test_a_file_with_secrets_that_the_dockerfile_does_not_copy_is_accepted(
    project: Path, programs: Path
) -> None:
    write(project, {"Dockerfile": "FROM scratch\nCOPY main.py /app/\n", ".env": "PASSWORD=x\n"})
    done = deploy(project, programs, "--dry-run")
    assert done.exit_code == 0, done.stderr


def test_a_builder_that_is_too_old_for_a_mount_is_named_before_the_build(
    project: Path, programs: Path
) -> None:
    mount = "--mount=type=bind,source=main.py,target=main.py"
    write(project, {"Dockerfile": f"FROM a\nWORKDIR /app\nRUN {mount} true\n"})
    for version, status in (("4.3.1", 2), ("5.4.2", 0)):
        install(programs, "podman", f"printf 'Client: Podman Engine\nVersion:  {version}\n'")
        done = deploy(project, programs, "--dry-run")
        assert done.exit_code == status, done.stderr
    install(programs, "podman", "printf 'Version:  4.3.1\n'")
    done = deploy(project, programs, "--dry-run")
    assert f"{project}/Dockerfile, line 3: podman 4.3.1 cannot mount" in done.stderr
    assert "podman 4.4 or newer or with docker, or write target=/app/main.py" in done.stderr


def test_an_ignore_file_of_the_project_without_secrets_needs_no_edit(
    project: Path, programs: Path
) -> None:
    write(project, {".dockerignore": ".git\n", ".env": "PASSWORD=x\n"})
    done = deploy(project, programs, "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert f"# write {project / 'Dockerfile.dockerignore'}\n" in done.stdout
    assert f"--ignorefile {project / 'Dockerfile.dockerignore'}" in done.stdout
    assert (project / ".dockerignore").read_text() == ".git\n"


def test_a_machine_without_a_builder_gets_the_remedy(project: Path, programs: Path) -> None:
    (programs / "podman").unlink()
    done = deploy(project, programs, "--dry-run")
    assert done.exit_code == 2
    assert "install docker, podman or buildah" in done.stderr
    # A built image needs none.
    done = deploy(project, programs, "--dry-run", "--image", "ghcr.io/acme/shop:1")
    assert done.exit_code == 0, done.stderr
    assert "# run" not in done.stdout
    assert "Dockerfile" not in done.stdout


def test_docker_without_its_daemon_is_not_chosen(project: Path, programs: Path) -> None:
    install(programs, "docker")
    made = deploy(project, programs, "--dry-run").stdout
    assert "\nenv BUILDX_NO_DEFAULT_ATTESTATIONS=1 docker build --file " in made
    assert "\ndocker build --file " in deploy(project, programs, "--dry-run", *FAR).stdout
    install(programs, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert "\npodman build" in deploy(project, programs, "--dry-run").stdout
    done = deploy(project, programs, "--dry-run", "--builder", "docker")
    assert done.exit_code == 2
    assert "--builder docker: docker version: Cannot connect to the Docker daemon" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--context", "far"), "add for example --registry ghcr.io/acme"),
        (("--context", "near"), "no context near; it has: dev, far"),
        (("--context", "far", "--load", "missing-tool {}"), "missing-tool is not on PATH"),
        (("--image", "a/b:1", "--tag", "x"), "--image builds nothing"),
        (("--image", "https://a/b:1"), "an image name has no scheme; use --image a/b:1"),
        (("--context", "far", "--registry", "https://a/b"), "use --registry a/b"),
        (("--kubeconfig", "missing"), "kubeconfig missing: no such file; set KUBECONFIG"),
        (("--builder", "kaniko"), "Invalid value for '--builder': 'kaniko' is not one of 'docker'"),
        (("--registry", "a", "--load", "b"), "either --registry or --load"),
        (("--tag", "a/b"), "not a valid tag"),
        (("--file", "missing.yaml"), "missing.yaml: No such file or directory"),
    ],
)
def test_what_is_missing_is_named(
    project: Path, programs: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = deploy(project, programs, "--dry-run", *arguments)
    assert done.exit_code == 2, done.stdout
    assert words in done.stderr


def test_the_file_of_the_project_is_used_and_several_are_refused(
    project: Path, programs: Path
) -> None:
    service = """
        apiVersion: fastapi-operator.io/v1alpha1
        kind: FastAPIService
        metadata: {name: web, namespace: own}
        spec: {image: ghcr.io/acme/web:1, app: main:app}
    """
    write(project, {"k8s/web.yaml": service})
    done = deploy(project, programs, "--dry-run", "--context", "far", "--tag", "2")
    assert done.exit_code == 0, done.stderr
    assert "podman push ghcr.io/acme/web:2" in done.stdout
    assert "context far, namespace own" in done.stdout
    assert "# write" in done.stdout, "a Dockerfile"
    done = deploy(project, programs, "--dry-run", "-n", "other")
    assert "metadata.namespace is own, but --namespace is other" in done.stderr
    write(project, {"k8s/other.yaml": service})
    done = deploy(project, programs, "--dry-run")
    assert done.exit_code == 2
    assert "several files have a FastAPIService" in done.stderr


@pytest.mark.parametrize(
    ("layout", "dockerfile", "context"),
    [
        # Members of a workspace are installed from its root.
        ("uv-workspace", "packages/stock/Dockerfile", "."),
        ("uv-workspace-members", "services/api/Dockerfile", "."),
        # The Dockerfile is that of the directory, or has a folder of its own.
        ("full-stack", "backend/Dockerfile", "backend"),
        ("two-dockerfiles", "docker/Dockerfile.prod", "."),
        ("flat-directory", "app/Dockerfile", "app"),
    ],
)
def test_a_build_gets_the_directory_that_its_dockerfile_is_for(
    programs: Path, tmp_path: Path, layout: str, dockerfile: str, context: str
) -> None:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    root = projects.layout(layout).write(tmp_path)
    done = deploy(root, programs, "--dry-run", *FAR)
    assert done.exit_code == 0, done.stderr
    (build,) = (line for line in done.stdout.splitlines() if line.startswith("podman build "))
    words = shlex.split(build)
    assert words[words.index("--file") + 1] == str(root / dockerfile)
    assert Path(words[-1]) == (root / context).resolve()


def test_a_repository_with_several_projects_lists_them(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    root = projects.layout("monorepo-several").write(tmp_path)
    done = deploy(root, programs, "--dry-run")
    assert done.exit_code == 2
    assert f"for example: fastapi-operator deploy {root}/services/orders" in done.stderr


def test_a_value_without_a_default_is_read_from_a_secret(project: Path, programs: Path) -> None:
    write(
        project,
        {
            "settings.py": """
                from pydantic_settings import BaseSettings

                class Settings(BaseSettings):
                    region: str
                    token: str
            """,
        },
    )
    done = deploy(project, programs, "--dry-run")
    assert "# requires Secret shop-secrets with REGION, TOKEN" in done.stdout
    assert "if the values of REGION are not secret, you can write them in env" in done.stderr
    write(project, {".env.example": "REGION=eu\nTOKEN=published\n"})
    done = deploy(project, programs, "--dry-run")
    assert "# requires Secret shop-secrets with TOKEN" in done.stdout
    assert "  - name: REGION\n    value: eu\n" in done.stdout
    assert "check the values of REGION in env, which are from .env.example" in done.stderr


def test_a_profile_is_written_into_a_new_file_and_applied_with_an_existing_one(
    project: Path, programs: Path
) -> None:
    made = deploy(project, programs, "--dry-run", "--profile", "development").stdout
    assert made.count("\n  profile: development\n") == 2
    service = """
        apiVersion: fastapi-operator.io/v1alpha1
        kind: FastAPIService
        metadata: {name: web}
        spec: {image: ghcr.io/acme/web:1, app: main:app, profile: production}
    """
    write(project, {"service.yaml": service})
    made = deploy(project, programs, "--dry-run", "--profile", "development").stdout
    assert made.count("\n  profile: development\n") == 1
    assert "profile: production" not in made


def test_a_loaded_image_is_never_pulled(project: Path, programs: Path) -> None:
    service = """
        apiVersion: fastapi-operator.io/v1alpha1
        kind: FastAPIService
        metadata: {name: web}
        spec: {image: ghcr.io/acme/web:1, imagePullPolicy: Always}
    """
    write(project, {"service.yaml": service})
    assert "imagePullPolicy is Always" in deploy(project, programs, "--dry-run").stderr
    assert deploy(project, programs, "--dry-run", *FAR).exit_code == 0
