"""Projects as people write them, from ``init`` to a response through the proxy.

Only what ``init`` leaves to a person is done by hand: the blanks are filled in and the Secret is
created. Locks of uv and poetry are made first, so that the Dockerfile installs from a real one.
A project of others is deployed with one command, at a terminal.
"""

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import projects
from tests.cluster import buildah, images
from tests.full import outside
from tests.full.conftest import NODE, Platform
from tests.judges import controllers
from tests.kubectl import eventually

pytestmark = [pytest.mark.node, pytest.mark.timeout(1200, func_only=True)]

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_TOOLS = ("uv", "poetry", "pdm", "hishel<2", "pipenv")


@dataclass(frozen=True)
class Case:
    """The responses that a project must give.

    Attributes:
        layout: Its name in ``tests/projects``.
        path: A path that needs its database, its worker or its sockets.
        answer: The body of the response.
        lock: The commands that lock its dependencies.
        log: A line that its worker must write.
    """

    layout: str
    path: str
    answer: str
    lock: tuple[tuple[str, ...], ...] = ()
    log: str = ""


_UV = (("uv", "lock"),)
# The interface of a simple index, which every mirror has.
_POETRY = (
    ("poetry", "source", "add", "--priority=primary", "simple", f"{projects.PUBLIC_INDEX}/"),
    ("poetry", "lock"),
)
CASES = (
    Case("sqlmodel-create-all", "/heroes", r"\[\]"),
    Case("celery-redis-url", "/tidy", '"tidy"'),
    Case("procfile", "/count", r"[1-9]\d*"),
    Case("src-layout-uv", "/books", "0", lock=_UV),
    Case("gunicorn-script", "/countries", r'\["Norway"\]'),
    Case("full-stack", "/api/v1/items/", r'\["seed"\]', lock=_UV),
    Case("taskiq-poetry", "/send", '"sent"', lock=_POETRY),
    Case("package-no-dockerfile", "/version", '"[0-9.]+.*'),
    Case("procrastinate", "/send", r"\d+", lock=_UV, log="invoice sent"),
    Case("listen", "/order", '"one"'),
    Case("dramatiq", "/send", '"sent"'),
    Case("nested-settings", "/version", '"[0-9.]+.*'),
    Case("tortoise", "/surveys", "0"),
    Case("websocket-chat", "/", "0"),
    Case("redis-host", "/hits", r"[1-9]\d*"),
)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yields a directory with the programs that lock dependencies."""
    folder = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin/pip", "install", "--quiet", *_TOOLS], check=True)
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
    _init(root)
    (file,) = root.rglob("service.yaml")
    service = _completed(operated, yaml.safe_load(file.read_text()))
    name, image = service["metadata"]["name"], service["spec"]["image"]
    dockerfile = next(file.parent.glob("*ockerfile"), file.parent.parent / "Dockerfile")
    _build(dockerfile, dockerfile.parent, image, tmp_path)
    archive = tmp_path / "image.tar"
    buildah.save(image, archive, image)
    operated.node.load_images([str(archive)])
    try:
        operated.kubectl.apply(service)
        operated.kubectl(
            *("wait", f"fastapiservice/{name}", "--for=condition=Ready", "--timeout=10m")
        )
        _check(operated, name, case)
    finally:
        operated.kubectl("delete", "fastapiservice", name, "--wait=true", "--timeout=2m")


@pytest.mark.parametrize(
    ("name", "commands"),
    [("pdm", (("pdm", "lock"),)), ("pipenv", (("pipenv", "lock"),)), ("uv-workspace", _UV)],
)
def test_the_dockerfile_installs_from_the_lock(
    tools: Path, name: str, commands: tuple[tuple[str, ...], ...], tmp_path: Path
) -> None:
    root = projects.layout(name).write(tmp_path)
    _lock(root, tools, commands)
    _init(root)
    (file,) = root.rglob("Dockerfile")
    _build(file, _context(file), f"localhost/{name}:test", tmp_path)


_ACCOUNT = "admin@example.com"
# Its passwords and keys are left empty, so ``deploy`` makes them.
TEMPLATE = outside.Project(
    "https://github.com/fastapi/full-stack-fastapi-template",
    "68adb40d37425f6f8668ec7e5a054500d045e43e",
    answers={
        "FIRST_SUPERUSER": _ACCOUNT,
        "PROJECT_NAME": "Shop",
        "Continue?": "y",
    },
)
# From the command to the URL, without the image.
_MOST_SECONDS = 300


def test_the_full_stack_template_serves_after_one_command(
    operated: Platform, tmp_path: Path
) -> None:
    built, root = controllers.built("buildah"), TEMPLATE.fetch(tmp_path / "template")
    if built is None:
        pytest.skip("a current Buildah is not built: make judges")
    if root is None:
        pytest.skip(f"{TEMPLATE.repository} is not reachable")
    programs = tmp_path / "programs"
    programs.mkdir()
    outside.install(built / "buildah", programs, NODE)
    environment = {**os.environ, "KUBECONFIG": str(operated.kubectl.kubeconfig)}
    options = ("--profile", "development")
    done = outside.deploy(TEMPLATE, root, programs, environment, *options)
    print(done.output)
    print(f"{done.seconds:.0f} s from the command to the URL, without the image")
    try:
        assert done.status == 0
        assert done.seconds <= _MOST_SECONDS
        (service,) = operated.kubectl.json("get", "fastapiservices")["items"]
        name = service["metadata"]["name"]
        assert "<!doctype html>" in _read(f"{_url(operated, name)}/").lower()
        account = {"username": _ACCOUNT, "password": _password(operated, name)}
        login = f"{_url(operated, name)}/api/v1/login/access-token"
        token = json.loads(_read(login, urllib.parse.urlencode(account).encode()))["access_token"]
        me = f"{_url(operated, name)}/api/v1/users/me"
        request = urllib.request.Request(me, headers={"Authorization": f"Bearer {token}"})
        assert json.loads(_read(request))["email"] == _ACCOUNT
    finally:
        operated.kubectl("delete", "fastapiservice", "--all", "--wait=true", "--timeout=2m")


def _init(root: Path) -> None:
    program = "from fastapi_operator.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", program, "init", str(root)], check=True)


def _context(file: Path) -> Path:
    """Returns the directory of the build, which the first line of a written Dockerfile implies."""
    below = re.search(r"-f (\S+)Dockerfile", file.read_text().splitlines()[0])
    return file.parents[below.group(1).count("/")] if below else file.parent


def _lock(root: Path, tools: Path, commands: tuple[tuple[str, ...], ...]) -> None:
    """Replaces the lock, which in a layout is only a sample."""
    (lock,) = (path for path in root.rglob("*.lock"))
    lock.unlink()
    pipfile = lock.parent / "Pipfile"
    if pipfile.is_file():  # the Python of this machine has another version
        pipfile.write_text(pipfile.read_text().partition("[requires]")[0])
    for command in commands:
        subprocess.run([tools / command[0], *command[1:]], cwd=lock.parent, check=True)


def _completed(platform: Platform, service: dict[str, Any]) -> dict[str, Any]:
    """Fills in what ``init`` leaves to a person, and asks for small pods: the node has 2 cores."""
    service["spec"]["profile"] = "development"
    secret: dict[str, str] = {}
    for variable in service["spec"].get("env", ()):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            secret[reference["key"]] = "value-of-a-test-0123456789abcdef"
    if secret:
        name = f"{service['metadata']['name']}-secrets"
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        platform.kubectl.apply({**body, "stringData": secret})
    return service


def _build(file: Path, context: Path, image: str, parent: Path) -> None:
    """Builds an image; all Python images are that of the tests."""
    (python,) = images.build(["python"])
    base = python.references[0]
    text = re.sub(r"(?m)^FROM (docker.io/library/)?python:\S+", f"FROM {base}", file.read_text())
    # Tools with certificates of their own accept those of the machine's mirror.
    trust = " ".join(f"{name}={_CERTIFICATES}" for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"))
    file.write_text(re.sub(r"(?m)^(FROM .*)$", rf"\1\nENV {trust}", text))
    buildah.build(
        image,
        dockerfile=file,
        context=context,
        arguments={"PYTHON_IMAGE": base} if "ARG PYTHON_IMAGE" in text else {},
        log=parent / "build.log",
    )


def _check(platform: Platform, name: str, case: Case) -> None:
    address = _url(platform, name)
    answers: list[str] = []

    def answered() -> bool:
        try:
            answers.append(_read(f"{address}{case.path}"))
        except OSError as error:
            answers.append(repr(error))
        return bool(re.fullmatch(case.answer, answers[-1]))

    eventually(answered, seconds=60, what=f"{case.path} answers {case.answer}; it was {answers}")
    if case.log:
        logs = ("logs", f"deployment/{name}-background-worker", "--tail=200")
        eventually(lambda: case.log in platform.kubectl(*logs), seconds=60, what=case.log)
    time.sleep(1)
    assert platform.kubectl.exists("deployment", f"{name}-proxy")


def _url(platform: Platform, name: str) -> str:
    """Returns the URL of a service with an address that is reached from here."""
    found = platform.kubectl.json("get", "fastapiservice", name)
    entry = re.sub(r"^https?://([^.:/]+).*", r"\1", found["status"]["url"])
    return f"http://{platform.kubectl.json('get', 'service', entry)['spec']['clusterIP']}"


def _read(request: str | urllib.request.Request, form: bytes | None = None) -> str:
    with urllib.request.urlopen(request, form, timeout=30) as response:
        return str(response.read().decode())


def _password(platform: Platform, name: str) -> str:
    values = platform.kubectl.json("get", "secret", f"{name}-secrets")["data"]
    return base64.b64decode(values["FIRST_SUPERUSER_PASSWORD"]).decode()
