"""Real programs that judge the product at work, built once, each inside its own Go module.

Building inside the module's folder applies that project's own go.mod and go.sum, so that this
repository needs neither. The binaries are cached outside of the checkout, by module and version.

python -m tests.judges [NAME ...]   build them, with progress
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import execution, failures, locks, places, progress
from tests.judges import modules

# The compiler then needs two thirds of the processor time; the linker drops this data anyway.
_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-gcflags", "all=-dwarf=false")


@dataclass(frozen=True, kw_only=True)
class Controller:
    """A program of another project.

    Attributes:
        module: Its Go module and version.
        packages: The packages to build, relative to the module.
        cost: The time of the build, for the progress line.
    """

    module: str
    packages: Sequence[str]
    cost: str

    @property
    def folder(self) -> Path:
        """The folder of the built programs; it exists only after the build."""
        return places.cache() / "controllers" / self.module.replace("/", "_")


CONTROLLERS: Mapping[str, Controller] = {
    # Only its firewall is used, in the private network namespace of a test's node.
    "kube-router": Controller(
        module="github.com/cloudnativelabs/kube-router/v2@v2.1.0",
        packages=("./cmd/kube-router",),
        cost="7 minutes of CPU",
    ),
}


def built(name: str) -> Path | None:
    """Returns the folder of a controller's programs; None if it was not built yet."""
    folder = CONTROLLERS[name].folder
    return folder if folder.exists() else None


def build(name: str) -> Path:
    """Builds a controller unless it is built, and returns the folder of its programs.

    Raises:
        ClusterError: Go is missing or the build failed.
    """
    controller = CONTROLLERS[name]
    with locks.held(places.cache() / f"{name}.lock", f"the build of {name}"):
        if not controller.folder.exists():
            _build(name, controller)
    return controller.folder


def _build(name: str, controller: Controller) -> None:
    if shutil.which("go") is None:
        raise failures.ClusterError(f"missing: go (1.26 or later) to build {name}")
    source = modules.folder(controller.module)
    controller.folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        progress.step(f"Go build of {name} (once; {controller.cost})"),
        tempfile.TemporaryDirectory(dir=controller.folder.parent) as temporary,
    ):
        target = Path(temporary) / "bin"
        execution.output_of(
            [
                *("go", "-C", source, "build", *_FLAGS, "-ldflags", "-s -w"),
                *("-o", f"{target}{os.sep}", *controller.packages),
            ],
            environment={"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"},
        )
        target.rename(controller.folder)
