"""Projects as people write them, from ``init`` to a response through the proxy.

Only what ``init`` leaves to a person is done by hand: the blanks are filled in and the Secret is
created. Locks of uv and poetry are made first, so that the Dockerfile installs from a real one.
"""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import projects
from tests.cluster import buildah, images, node
from tests.full.conftest import Platform
from tests.kubectl import eventually

pytestmark = [pytest.mark.node, pytest.mark.timeout(1200)]

_NAMESPACE = "default"


@dataclass(frozen=True)
class Case:
    """What a project must answer.

    Attributes:
        layout: Its name in ``tests/projects``.
        path: A path that needs its database, its worker or its sockets.
        answer: The body of the response.
        lock: The command that locks its dependencies.
        log: A line that its worker must write.
    """

    layout: str
    path: str
    answer: str
    lock: tuple[str, ...] = ()
    log: str = ""


CASES = (
    Case("sqlmodel-create-all", "/heroes", r"\[\]"),
    Case("celery-redis-url", "/tidy", '"tidy"'),
    Case("procfile", "/count", r"[1-9]\d*"),
    Case("src-layout-uv", "/books", "0", lock=("uv", "lock")),
    Case("gunicorn-script", "/countries", r'\["Norway"\]'),
    Case("full-stack", "/api/v1/items/", r'\["seed"\]', lock=("uv", "lock")),
    Case("taskiq-poetry", "/send", '"sent"', lock=("poetry", "lock")),
    Case("package-no-dockerfile", "/version", '"[0-9.]+.*'),
    Case("procrastinate", "/send", r"\d+", lock=("uv", "lock"), log="invoice sent"),
    Case("listen", "/order", '"one"'),
    Case("dramatiq", "/send", '"sent"'),
    Case("nested-settings", "/version", '"[0-9.]+.*'),
    Case("tortoise", "/surveys", "0"),
    Case("websocket-chat", "/", "0"),
)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yields a directory with the programs that lock dependencies."""
    folder = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin/pip", "install", "--quiet", "uv", "poetry"], check=True)
    return folder / "bin"


@pytest.fixture(scope="session")
def operated(cluster: Platform) -> Iterator[Platform]:
    """Yields the cluster with the operator."""
    cluster.clean()
    cluster.install()
    yield cluster
    cluster.clean()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layout)
def test_a_project_serves_with_its_own_stores(
    operated: Platform, tools: Path, case: Case, tmp_path: Path
) -> None:
    layout = projects.layout(case.layout)
    root = layout.write(tmp_path)
    if case.lock:
        _lock(root, tools, case.lock)
    program = "from fastapi_operator.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", program, "init", str(root)], check=True)
    (file,) = root.rglob("service.yaml")
    service = _completed(operated, yaml.safe_load(file.read_text()))
    name, image = service["metadata"]["name"], service["spec"]["image"]
    _build(operated.node, file.parent, image, tmp_path)
    try:
        operated.kubectl.apply(service)
        operated.kubectl(
            *("wait", f"fastapiservice/{name}", "--for=condition=Ready", "--timeout=10m")
        )
        _check(operated, name, case)
    finally:
        operated.kubectl("delete", "fastapiservice", name, "--wait=true", "--timeout=2m")


def _lock(root: Path, tools: Path, command: tuple[str, ...]) -> None:
    """Replaces the lock, which in a layout is only a sample."""
    (lock,) = (path for path in root.rglob("*.lock"))
    lock.unlink()
    subprocess.run([tools / command[0], *command[1:]], cwd=lock.parent, check=True)


def _completed(platform: Platform, service: dict[str, Any]) -> dict[str, Any]:
    """Fills in what ``init`` leaves to a person."""
    secret: dict[str, str] = {}
    for variable in service["spec"].get("env", ()):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            secret[reference["key"]] = "value-of-a-test-0123456789abcdef"
        elif variable["value"] == "":
            variable["value"] = "test"
    if secret:
        name = f"{service['metadata']['name']}-secrets"
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        platform.kubectl.apply({**body, "stringData": secret})
    return service


def _build(target: node.Node, root: Path, image: str, parent: Path) -> None:
    """Builds the image and loads it into the node; all Python images are that of the tests."""
    (python,) = images.build(["python"])
    base = python.references[0]
    file = next(root.glob("*ockerfile"), root.parent / "Dockerfile")
    text = re.sub(r"(?m)^FROM (docker.io/library/)?python:\S+", f"FROM {base}", file.read_text())
    file.write_text(text)
    buildah.build(
        image,
        dockerfile=file,
        context=file.parent,
        arguments={"PYTHON_IMAGE": base} if "ARG PYTHON_IMAGE" in text else {},
        log=parent / "build.log",
    )
    archive = parent / "image.tar"
    buildah.save(image, archive, image)
    target.load_images([str(archive)])


def _check(platform: Platform, name: str, case: Case) -> None:
    found = platform.kubectl.json("get", "fastapiservice", name)
    entry = re.sub(r"^https?://([^.:/]+).*", r"\1", found["status"]["url"])
    address = platform.kubectl.json("get", "service", entry)["spec"]["clusterIP"]
    answers: list[str] = []

    def answered() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}{case.path}", timeout=30) as response:
                answers.append(response.read().decode())
        except OSError as error:
            answers.append(repr(error))
        return bool(re.fullmatch(case.answer, answers[-1]))

    eventually(answered, seconds=60, what=f"{case.path} answers {case.answer}; it was {answers}")
    if case.log:
        logs = ("logs", f"deployment/{name}-worker", "--tail=200")
        eventually(lambda: case.log in platform.kubectl(*logs), seconds=60, what=case.log)
    time.sleep(1)
    assert platform.kubectl.exists("deployment", f"{name}-proxy")
