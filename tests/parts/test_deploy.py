"""``deploy`` from a folder to a response on a real node.

Buildah builds, as for all images of the tests, and the node's own containerd is loaded: the node
is neither kind nor k3d nor minikube, so the command of ``--load`` is a command of the tests.
"""

import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import buildah, images, places
from tests.demo.targets import Cluster
from tests.e2e.conftest import NODE, Shop
from tests.e2e.test_doctor import MAIN, run
from tests.kubectl import eventually

pytestmark = pytest.mark.node

NAMESPACE = "deployed"
CODE = """
from fastapi import FastAPI

app = FastAPI(title="Deployed")


@app.get("/")
async def root() -> dict[str, str]:
    print("a request for version VERSION", flush=True)
    return {"version": "VERSION"}
"""
SERVICE = """
apiVersion: fastapi-operator.io/v1alpha1
kind: FastAPIService
metadata: {name: web}
spec:
  image: registry.example.com/web:0.1.0
  app: main:app
  resources: {requests: {cpu: 50m}}
  scaling: {replicas: 1}
  proxy: {replicas: 1}
"""


@dataclass(frozen=True)
class Project:
    """A project, and a folder with the builder of the tests."""

    cluster: Cluster
    folder: Path
    programs: Path

    def write(self, version: str, code: str = CODE) -> None:
        """Writes a version of the code."""
        (self.folder / "main.py").write_text(code.replace("VERSION", version))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts a command."""
        kubeconfig = str(self.cluster.kubectl.kubeconfig)
        command = [sys.executable, "-c", MAIN, *arguments, "--kubeconfig", kubeconfig]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.cluster.kubectl.environment, "PATH": f"{self.programs}:/usr/bin:/bin"},
        )

    def deploy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Deploys the folder, without asking."""
        loader = str(self.programs / "load")
        options = ("--builder", "buildah", "--load", loader, "-n", NAMESPACE, "--yes")
        with self.start("deploy", str(self.folder), *options, *arguments) as process:
            output, errors = process.communicate(timeout=240)
        return subprocess.CompletedProcess([], process.returncode, output, errors)


@pytest.fixture(scope="module")
def project(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose image is based on one that the tests have."""
    folder, programs = tmp_path_factory.mktemp("web"), tmp_path_factory.mktemp("programs")
    (base,) = images.build(["hello"])
    (folder / "service.yaml").write_text(SERVICE)
    (folder / "Dockerfile").write_text(f"FROM {base.references[0]}\nCOPY main.py /app/main.py\n")
    (folder / ".dockerignore").write_text("**/.env\n")
    (folder / ".env").write_text("PASSWORD=never-in-an-image\n")
    program, *store = buildah.command(())
    # The base is in the store of the tests, and in no registry.
    local = '[ "$1" = build ] && shift && set -- build --isolation chroot --pull-never "$@"'
    for name, line in {
        "buildah": f'{local}\nexec {shutil.which(program)} {shlex.join(store)} "$@"',
        "load": f'exec {sys.executable} -m tests.cluster load-image --name {NODE} "$@"',
    }.items():
        script = f"#!/bin/sh\nexport PYTHONPATH={places.REPOSITORY}\n{line}\n"
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": NAMESPACE, "labels": labels}
    cluster.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        yield Project(cluster, folder, programs)
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def deployed(project: Project) -> Project:
    """The project after its first deployment."""
    project.write("1")
    done = project.deploy()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"web is ready: http://web.{NAMESPACE}.svc" in done.stdout
    assert "✓ app" in done.stderr
    return project


def test_a_change_of_the_code_is_served_and_an_unchanged_folder_restarts_nothing(
    deployed: Project,
) -> None:
    def pods() -> list[str]:
        selector = "app.kubernetes.io/component=app"
        listed = deployed.cluster.kubectl.json("get", "pods", "-n", NAMESPACE, "-l", selector)
        return sorted(item["metadata"]["name"] for item in listed["items"])

    before = pods()
    assert deployed.deploy().returncode == 0
    assert pods() == before
    with deployed.start("open", "web", "-n", NAMESPACE, "--port", "0") as forwarded:
        assert forwarded.stdout is not None
        url = forwarded.stdout.readline().strip()
        assert read(url) == '{"version":"1"}'
        deployed.write("2")
        assert deployed.deploy().returncode == 0
        # The same port leads to the pods of the new version.
        eventually(lambda: read(url) == '{"version":"2"}', seconds=30, what="version 2")
        forwarded.send_signal(signal.SIGINT)
        assert forwarded.wait(timeout=10) == 0
    logged = run(shop_of(deployed), "logs", "web").stdout
    assert re.search(r"^web-\S+ a request for version 2$", logged, re.MULTILINE), logged


def test_a_version_that_does_not_start_ends_it_with_its_traceback(deployed: Project) -> None:
    deployed.write("3", "raise RuntimeError('the settings are missing')\n")
    done = deployed.deploy("--timeout", "30")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "web is not ready: " in done.stderr
    assert "last lines of web-" in done.stderr
    assert "RuntimeError: the settings are missing" in done.stderr
    # The image has no file that is excluded, and a build that would have one is refused.
    (deployed.folder / ".dockerignore").unlink()
    refused = deployed.deploy()
    assert refused.returncode == 2
    assert f"{deployed.folder}/.env would become readable in the image" in refused.stderr


def shop_of(project: Project) -> Shop:
    """The deployed service, for helpers that expect a shop."""
    return Shop(project.cluster.kubectl, "", namespace=NAMESPACE, name="web")


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())
