"""Real programs that judge the product at work, built once, each inside its own Go module.

Building inside the module's folder applies that project's own go.mod and go.sum, so that this
repository needs neither. The binaries are cached outside of the checkout, by module and version.

python -m tests.judges [NAME ...]   build them, with progress
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import go_build, places, progress
from tests.cluster.made_once import made_once
from tests.judges import modules

_SOURCES = Path(__file__).parent / "tools"


@dataclass(frozen=True, kw_only=True)
class Controller:
    """A program of another project.

    Attributes:
        module: Its Go module and version.
        packages: The packages to build, relative to the module.
        cost: The time of the build, for the progress line.
        command: The source of a program that uses the module, if its own is not published; it is
            built as the package ``./cmd/NAME`` of the module.
        tags: Build tags.
        with_c: Whether it has code in C.
    """

    module: str
    packages: Sequence[str]
    cost: str
    command: Path | None = None
    tags: Sequence[str] = ()
    with_c: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the built programs; it exists only after the build."""
        source = b"" if self.command is None else self.command.read_bytes()
        suffix = f"-{hashlib.sha256(source).hexdigest()[:8]}" if source else ""
        return places.cache() / "controllers" / (self.module.replace("/", "_") + suffix)


CONTROLLERS: Mapping[str, Controller] = {
    # Only its firewall is used, in the private network namespace of a test's node.
    "kube-router": Controller(
        module="github.com/cloudnativelabs/kube-router/v2@v2.1.0",
        packages=("./cmd/kube-router",),
        cost="7 minutes of CPU",
    ),
    "cert-manager": Controller(
        module=modules.CERT_MANAGER,
        packages=("./cmd/cert-manager",),
        cost="7 minutes of CPU",
        command=_SOURCES / "cert-manager/main.go",
    ),
    # The operator scales; the adapter serves the metrics of ScaledObjects to the HPA.
    "keda": Controller(
        module=modules.KEDA,
        packages=("./cmd/operator", "./cmd/adapter"),
        cost="12 minutes of CPU",
    ),
    # Its operator and the manager of each instance are one program.
    "cloudnative-pg": Controller(
        module=modules.CLOUDNATIVE_PG,
        packages=("./cmd/manager",),
        cost="4 to 11 minutes on two cores",
    ),
    # Builds projects of others, as for a user whose builder is newer than Debian's. Its code in C
    # makes namespaces before Go's runtime starts; tags leave out parts that need other libraries.
    "buildah": Controller(
        module="github.com/containers/buildah@v1.44.0",
        packages=("./cmd/buildah",),
        cost="7 minutes beside other work",
        tags=("containers_image_openpgp", "exclude_graphdriver_btrfs"),
        with_c=True,
    ),
    # Without its API server, ApplicationSets, notifications and client.
    "argo-cd": Controller(
        module=modules.ARGO_CD,
        packages=("./cmd/argo-cd",),
        cost="10 minutes of CPU",
        command=_SOURCES / "argo-cd/main.go",
    ),
    # Rolls out the same bad version as the product, for comparison.
    "argo-rollouts": Controller(
        module="github.com/argoproj/argo-rollouts@v1.9.0",
        packages=("./cmd/rollouts-controller",),
        cost="3 minutes of CPU and more",
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
    return made_once(
        controller.folder,
        lambda folder: _build(name, controller, folder),
        lock=name,
        what=f"the build of {name}",
    )


def _build(name: str, controller: Controller, folder: Path) -> Path:
    with progress.step(f"Go build of {name} (once; {controller.cost})"):
        source, target = modules.folder(controller.module), folder / "bin"
        if controller.command is not None:
            source = _with_command(name, source, controller.command, folder)
        go_build.build(
            source,
            controller.packages,
            into=target,
            tags=controller.tags,
            with_c=controller.with_c,
        )
    return target


def _with_command(name: str, module: Path, command: Path, folder: Path) -> Path:
    """Copies a module, with our program as its package ``cmd/NAME``."""
    copied = folder / "module"
    shutil.copytree(module, copied, copy_function=shutil.copyfile)
    # The folders of Go's cache are read-only.
    for path in (copied, *(path for path in copied.rglob("*") if path.is_dir())):
        path.chmod(0o755)
    (copied / "cmd" / name).mkdir(parents=True)
    shutil.copyfile(command, copied / "cmd" / name / "main.go")
    return copied
