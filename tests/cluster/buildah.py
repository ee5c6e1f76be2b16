"""Buildah with a store of its own in the cache; no daemon, no registry."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster import execution, failures, places

_LAYERS_KEPT = 60
# On a busy machine, a step may fail before it has begun: the program could not seal the copy of
# itself that the step runs. The steps before it are kept.
_BUSY = "sealing memfd copy: Device or resource busy"
_ATTEMPTS = 3
# Configuration of pip and apt on the host; only the local build uses it.
_HOST_FILES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf"))


def has(image: str) -> bool:
    """Whether the store has an image."""
    return _run(["images", "--quiet", "--filter", f"reference={image}"]).strip() != ""


def from_archive(archive: Path, image: str) -> None:
    """Make an image of one root file system."""
    container = _run(["from", "scratch"]).strip()
    try:
        _run(["add", "--quiet", container, str(archive), "/"])
        _run(["config", "--cmd", "/bin/sh", container])
        _run(["commit", "--quiet", container, image])
    finally:
        _run(["rm", container])


def build(
    image: str, *, dockerfile: Path, context: Path, arguments: Mapping[str, str], log: Path
) -> None:
    """Build a Dockerfile; its output goes to a log file.

    Raises:
        ClusterError: The build failed; with the end of the log.
    """
    options = ["build", "--isolation", "chroot", "--layers", "--format", "docker"]
    options += ["--pull-never", "--tag", image, "--file", str(dockerfile)]
    for name, value in arguments.items():
        options += ["--build-arg", f"{name}={value}"]
    for path in _HOST_FILES:
        if path.exists():
            options += ["--volume", f"{path.resolve()}:{path}:ro"]
    ignore = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    if ignore.exists():  # docker build finds it by itself, this buildah does not
        options += ["--ignorefile", str(ignore)]
    log.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, _ATTEMPTS + 1):
        with log.open("w") as output:
            result = subprocess.run(
                command([*options, str(context)]),
                check=False,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if not result.returncode:
            return
        if attempt == _ATTEMPTS or _BUSY not in log.read_text():
            raise failures.NotReadyError(f"image {image}", "could not be built", log)


def save(image: str, archive: Path, name: str) -> None:
    """Write an image into an archive in Docker's format, under a name."""
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    _run(["push", "--quiet", image, f"docker-archive:{partial}:{name}"])
    partial.rename(archive)


def forget_older(image: str) -> None:
    """Remove earlier builds of an image, and old layers when there are many.

    The layers of the last builds stay: a changed source need not install its packages again.
    """
    repository, _, tag = image.rpartition(":")
    listed = _run(["images", "--format", "{{.Tag}}", "--filter", f"reference={repository}"])
    for other in set(listed.split()) - {tag}:
        _run(["rmi", f"{repository}:{other}"])
    if len(_run(["images", "--quiet", "--filter", "dangling=true"]).split()) > _LAYERS_KEPT:
        _run(["rmi", "--prune"])


def _run(arguments: Sequence[str]) -> str:
    return execution.output_of(command(arguments))


def command(arguments: Sequence[str]) -> list[str]:
    """Return a command of buildah with the store of the tests."""
    store = places.cache() / "buildah"
    store.mkdir(parents=True, exist_ok=True)
    driver = os.environ.get("STORAGE_DRIVER", "overlay")
    return [
        "buildah",
        *("--root", str(store / "root"), "--runroot", str(store / "run")),
        *("--storage-driver", driver),
        *arguments,
    ]
