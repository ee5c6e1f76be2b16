"""The programs that build images, and their commands.

A login is never an argument: each program reads it from its own configuration, and Podman and
Buildah read that of Docker too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

Command = tuple[str, ...]
_LOCAL_REGISTRIES = ("localhost", "127.0.0.1")


class Builder(StrEnum):
    """A program that builds images, in the order of preference."""

    DOCKER = "docker"
    PODMAN = "podman"
    BUILDAH = "buildah"

    @property
    def probe(self) -> Command:
        """A command that succeeds if the program can build: Docker needs its daemon."""
        return (self.value, "version")


class NoBuilderError(ValueError):
    """No program can build images; the message has the remedy."""


@dataclass(frozen=True)
class Build:
    """One build of an image.

    Attributes:
        dockerfile: Its Dockerfile.
        context: The directory whose files it gets.
        image: The name of the image.
        ignore: Its ignore file; None without one.
        platform: The platform, for example ``linux/amd64``; empty for that of the machine.
        login: The file with the logins of package indexes; None if the build needs none.
        is_loaded: Whether the image is saved for nodes, and not pushed.
    """

    dockerfile: Path
    context: Path
    image: str
    ignore: Path | None = None
    platform: str = ""
    login: Path | None = None
    is_loaded: bool = False


def choose(requested: Builder | None, failures: Mapping[Builder, str]) -> Builder:
    """Returns the requested program, or the first that works.

    Args:
        requested: The program of ``--builder``.
        failures: Why each program cannot build; empty if it can. Those not on PATH are absent.

    Raises:
        NoBuilderError: The program cannot build, or none can.
    """
    if requested is not None:
        if requested not in failures:
            raise NoBuilderError(f"--builder {requested}: {requested} is not on PATH; install it")
        if failures[requested]:
            raise NoBuilderError(f"--builder {requested}: {failures[requested]}")
        return requested
    for builder in Builder:
        if failures.get(builder) == "":
            return builder
    known = "".join(f"; {builder}: {reason}" for builder, reason in failures.items())
    raise NoBuilderError(
        "no program on PATH can build images; install docker, podman or buildah, or give a built "
        f"image with --image{known}"
    )


def build_command(builder: Builder, build: Build) -> Command:
    """Returns the command that builds an image."""
    command = [*_environment(builder, build), builder.value, "build"]
    if builder is not Builder.DOCKER:
        # Docker's format keeps HEALTHCHECK and SHELL. Older versions do not find the ignore file
        # beside a Dockerfile.
        command += ["--format", "docker"]
        command += ["--ignorefile", str(build.ignore)] if build.ignore else []
    if builder is Builder.BUILDAH:
        command += ["--layers"]
    command += ["--platform", build.platform] if build.platform else []
    command += ["--secret", f"id=netrc,src={build.login}"] if build.login else []
    return (
        *command,
        *("--file", str(build.dockerfile), "--tag", build.image),
        str(build.context),
    )


def _environment(builder: Builder, build: Build) -> Command:
    """Returns the prefix that sets variables of a build.

    Docker saves an index that names its attestation but not the attestation itself, and the nodes
    of kind reject that (kubernetes-sigs/kind#3795, #4236; default since Docker 29).
    """
    is_affected = builder is Builder.DOCKER and build.is_loaded
    return ("env", "BUILDX_NO_DEFAULT_ATTESTATIONS=1") if is_affected else ()


def save_command(builder: Builder, image: str, archive: Path) -> Command:
    """Returns the command that writes an image into an archive, for the nodes of a cluster."""
    if builder is Builder.BUILDAH:
        return ("buildah", "push", image, f"docker-archive:{archive}:{image}")
    form = ("--format", "docker-archive") if builder is Builder.PODMAN else ()
    return (builder.value, "save", *form, "--output", str(archive), image)


def push_command(builder: Builder, image: str) -> Command:
    """Returns the command that pushes an image to its registry."""
    host = image.partition("/")[0].partition(":")[0]
    # Docker uses no TLS for a registry on this machine; the others do not by default.
    plain = builder is not Builder.DOCKER and host in _LOCAL_REGISTRIES
    return (builder.value, "push", *(("--tls-verify=false",) if plain else ()), image)
