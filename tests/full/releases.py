"""The release before this version: its chart, manifests and operator, from the history.

No package of a release has to be kept, and the release runs its own code.
"""

import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.charts.conftest import ROOT
from tests.cluster import buildah, execution, images, node

# Until a release has a tag, this commit is v0.1.0-rc: the first one with the names of the glossary,
# with all facts that a service is judged by, and before canaries, preflights and measurements.
CANDIDATE = "572589da64a37d440f78df46f1905acd44b4b14b"

_TAG = "previous"
_REPOSITORY = "ghcr.io/fastapi-operator/fastapi-operator"


@dataclass(frozen=True)
class Release:
    """A release whose operator is on the node.

    Attributes:
        source: Its files.
        tag: The tag of its operator's image.
    """

    source: Path
    tag: str = _TAG

    @property
    def chart(self) -> Path:
        """The chart of the operator."""
        return self.source / "charts/fastapi-operator"

    @property
    def manifest(self) -> Path:
        """The install.yaml, with its operator's image on the node."""
        text = (self.source / "manifests/install.yaml").read_text()
        published = f"image: {_REPOSITORY}:0.1.0\n"
        assert published in text, f"no {published!r} in install.yaml"
        path = self.source / "install.yaml"
        path.write_text(text.replace(published, f"image: {_REPOSITORY}:{self.tag}\n"))
        return path


def previous(into: node.Node, folder: Path) -> Release:
    """Builds the operator of the release before, and loads its image into a node.

    It is the newest tag of a version, or else the candidate; ``PREVIOUS=REF`` names another one.

    Raises:
        ClusterError: The history does not have it, or the build failed.
    """
    tags = _git("tag", "--list", "v*", "--sort=-version:refname").split()
    ref = os.environ.get("PREVIOUS") or next(iter(tags), CANDIDATE)
    _git("archive", "--output", str(folder / "source.tar"), ref)
    with tarfile.open(folder / "source.tar") as source:
        source.extractall(folder, filter="data")
    (base,) = images.build(["python"])
    built = "localhost/fastapi-operator/previous:latest"
    buildah.build(
        built,
        dockerfile=folder / "operator/Dockerfile",
        context=folder,
        arguments={"PYTHON_IMAGE": base.references[0]},
        log=folder / "build.log",
    )
    buildah.save(built, folder / "operator.tar", f"{_REPOSITORY}:{_TAG}")
    into.load_images([str(folder / "operator.tar")])
    return Release(folder)


def _git(*arguments: str) -> str:
    return execution.output_of(["git", "-C", ROOT, *arguments])
