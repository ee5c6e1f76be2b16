"""Targets of the demo: the local node, or a cluster of the user.

A target makes the cluster ready, loads the images, and returns their names there.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.cluster import binaries, failures, node, packages, progress
from tests.kubectl import Kubectl

ROOT = Path(__file__).resolve().parent.parent.parent
NODE_NAME = "fastapi-operator"
_TAG = "demo"
# Images that this project builds; the other operands are public images.
_DOCKERFILES = {
    "operator": ("operator/Dockerfile", "."),
    "sample-app": ("sample-app/Dockerfile", "."),
    "pgbouncer": ("images/pgbouncer/Dockerfile", "images/pgbouncer"),
}


@dataclass(frozen=True)
class Cluster:
    """A cluster that has the images.

    Attributes:
        kubectl: Reaches it.
        helm: The helm to run.
        app_image: The sample app, as pods call it there.
        values: ``--set-string`` assignments of the operator's chart that name the images.
    """

    kubectl: Kubectl
    helm: str
    app_image: str
    values: tuple[str, ...]


class Target(Protocol):
    """A cluster on which the demo can run."""

    def prepare(self) -> Cluster:
        """Prepares the cluster and loads the images."""

    def reach(self) -> Cluster:
        """Returns the existing cluster, to remove the demo from it."""

    def remove(self) -> None:
        """Removes the additions of ``prepare``, except the demo itself."""


def choose(context: str | None, registry: str | None) -> Target:
    """Returns the local node, unless a context is given."""
    return LocalNode() if context is None else OwnCluster(context, registry)


class LocalNode:
    """A real node on this machine, started and stopped with the demo."""

    def __init__(self, name: str = NODE_NAME) -> None:
        self._name = name

    def prepare(self) -> Cluster:
        """Starts the node while the images are built, and loads them."""
        node.Node(self._name).start(with_images=True)
        return self.reach()

    def reach(self) -> Cluster:
        """Returns the running node."""
        started = node.Node(self._name)
        programs = binaries.ensure()
        names = ("postgres", "pgbouncer", "redis", "valkey", "nginx")
        return Cluster(
            kubectl=Kubectl(str(programs / "kubectl"), started.kubeconfig),
            helm=str(programs / "helm"),
            app_image=started.image("sample-app"),
            values=(
                *image_values("image", started.image("operator")),
                *(
                    value
                    for name in names
                    for value in image_values(f"settings.images.{name}", started.image(name))
                ),
            ),
        )

    def remove(self) -> None:
        """Stops the node; only the cache of built parts remains."""
        node.Node(self._name).stop()


class OwnCluster:
    """A cluster of the user's kubeconfig; kind, k3d and minikube load images with their tools."""

    def __init__(self, context: str, registry: str | None) -> None:
        self._context = context
        self._registry = registry

    def prepare(self) -> Cluster:
        """Builds the product's three images and loads them into the cluster."""
        builder = _builder()
        for name, (dockerfile, folder) in _DOCKERFILES.items():
            reference = self._reference(name)
            with progress.step(f"image {reference}"):
                _run(builder, "build", "--file", dockerfile, "--tag", reference, folder)
                self._deliver(builder, reference)
        return self.reach()

    def reach(self) -> Cluster:
        """Returns the cluster of the context."""
        return Cluster(
            kubectl=Kubectl(_program("kubectl"), context=self._context),
            helm=_program("helm"),
            app_image=self._reference("sample-app"),
            values=(
                *image_values("image", self._reference("operator")),
                *image_values("settings.images.pgbouncer", self._reference("pgbouncer")),
            ),
        )

    def remove(self) -> None:
        """Does nothing: the cluster belongs to the user."""

    def _reference(self, name: str) -> str:
        return f"{self._registry or 'localhost'}/fastapi-operator/{name}:{_TAG}"

    def _deliver(self, builder: str, reference: str) -> None:
        if self._registry:
            _run(builder, "push", reference)
            return
        kind, _, cluster = self._context.partition("-")
        loaders = {
            "kind": ("kind", "load", "docker-image", reference, "--name", cluster),
            "k3d": ("k3d", "image", "import", reference, "--cluster", cluster),
            "minikube": ("minikube", "image", "load", reference, "--profile", self._context),
        }
        if kind not in loaders:
            raise failures.ClusterError(
                f"context {self._context!r} is none of kind-*, k3d-* and minikube*: "
                "set REGISTRY= to a registry that it pulls from"
            )
        _run(*loaders[kind])


def _builder() -> str:
    """Docker if its engine runs, else buildah."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "info"], capture_output=True).returncode == 0:
        return docker
    packages.ensure(packages.FOR_IMAGES)
    return _program("buildah")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise failures.ClusterError(f"{name} is not on PATH; install it to use your own cluster")
    return found


def _run(*command: str) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        end = "\n".join((result.stdout + result.stderr).splitlines()[-15:])
        raise failures.ClusterError(f"{' '.join(command)} failed:\n{end}")


def image_values(prefix: str, reference: str) -> tuple[str, ...]:
    """Returns ``registry/repository:tag`` as values of the operator's chart."""
    path, _, tag = reference.rpartition(":")
    registry, _, repository = path.partition("/")
    return (
        f"{prefix}.registry={registry}",
        f"{prefix}.repository={repository}",
        f"{prefix}.tag={tag}",
    )
