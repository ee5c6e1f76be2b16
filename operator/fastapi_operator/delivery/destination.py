"""Where the nodes of a cluster get an image: from a registry, or loaded by a tool."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from fastapi_operator.delivery.builder import Command
from fastapi_operator.project.draft import EXAMPLE_REGISTRY

# The registry in names of images that are only loaded.
_NO_REGISTRY = "localhost"
_MINIKUBE = "minikube.sigs.k8s.io"


class DestinationError(ValueError):
    """The nodes cannot get the image; the message has the remedy."""


@dataclass(frozen=True)
class LocalCluster:
    """A cluster on this machine.

    Attributes:
        tool: The program that made it.
        name: Its name there.
    """

    tool: str
    name: str

    def load_command(self, archive: Path) -> Command:
        """Returns the command that loads an archive into all nodes."""
        if self.tool == "kind":
            return ("kind", "load", "image-archive", str(archive), "--name", self.name)
        if self.tool == "k3d":
            return ("k3d", "image", "import", str(archive), "--cluster", self.name)
        return ("minikube", "image", "load", str(archive), "--profile", self.name)


@dataclass(frozen=True)
class Destination:
    """Where an image goes.

    Attributes:
        repository: Its name without a tag.
        cluster: The local cluster that it is loaded into; None for another destination.
        load: The user's command that loads it; empty for another destination.
    """

    repository: str
    cluster: LocalCluster | None = None
    load: str = ""

    @property
    def is_registry(self) -> bool:
        """Whether the image is pushed."""
        return self.cluster is None and not self.load

    def load_command(self, archive: Path) -> Command:
        """Returns the command that loads an archive into the nodes."""
        if self.cluster is not None:
            return self.cluster.load_command(archive)
        words = shlex.split(self.load)
        if not any("{}" in word for word in words):
            words.append("{}")
        return tuple(word.replace("{}", str(archive)) for word in words)


def local_cluster(context: str, cluster: str, provider: str = "") -> LocalCluster | None:
    """Returns the local cluster of a context; None if it is of another kind.

    Args:
        context: The name of the context.
        cluster: The name of its cluster in the kubeconfig, which a renamed context keeps.
        provider: The program that wrote the context, if the kubeconfig has it.
    """
    if provider == _MINIKUBE or "minikube" in (context, cluster):
        return LocalCluster("minikube", cluster)
    for tool in ("kind", "k3d"):
        for name in (cluster, context):
            if name.startswith(f"{tool}-"):
                return LocalCluster(tool, name.removeprefix(f"{tool}-"))
    return None


def destination(
    *,
    service: str,
    image: str,
    registry: str = "",
    load: str = "",
    cluster: LocalCluster | None = None,
) -> Destination:
    """Returns where the image of a service goes.

    Args:
        service: The name of the service.
        image: ``spec.image`` of its file.
        registry: The registry of ``--registry``, with or without a path.
        load: The command of ``--load``.
        cluster: The local cluster of the context.

    Raises:
        DestinationError: The registry is not known or has a scheme, and the nodes cannot be loaded.
    """
    if "://" in registry:
        bare = registry.partition("://")[2]
        raise DestinationError(
            f"--registry {registry}: an image name has no scheme; use --registry {bare}"
        )
    if registry:
        return Destination(f"{registry.removesuffix('/')}/{service}")
    own = "" if image.startswith(f"{EXAMPLE_REGISTRY}/") else repository(image)
    if load or cluster is not None:
        name = own or f"{_NO_REGISTRY}/{service}"
        return Destination(name, None if load else cluster, load)
    if not own or "/" not in own:
        raise DestinationError(
            f"spec.image is {image or '(absent)'}, so the registry is not known; add for example "
            "--registry ghcr.io/acme, or set spec.image to a name in your registry"
        )
    return Destination(own)


def repository(image: str) -> str:
    """Returns the name of an image without its tag and digest."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
