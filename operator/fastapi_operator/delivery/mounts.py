"""Mounts of a Dockerfile that old releases of Podman and Buildah refuse."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fastapi_operator.delivery.builder import Builder
from fastapi_operator.project.image import instructions

# The first releases that join the target of a mount with the working directory
# (containers/buildah#4452). Those before want an absolute path.
_FIRST: Mapping[Builder, tuple[int, int]] = MappingProxyType(
    {Builder.BUILDAH: (1, 29), Builder.PODMAN: (4, 4)}
)
_KINDS = ("bind", "cache")
_TARGETS = ("target", "dst", "destination")
_VERSION = re.compile(r"(?m)^Version:\s+v?(([0-9]+)\.([0-9]+)\S*)")


@dataclass(frozen=True)
class RelativeMount:
    """A mount whose target is relative to the working directory.

    Attributes:
        option: The target as it is written, for example ``target=uv.lock``.
        absolute: The same with an absolute path; empty if the working directory is not known.
        line: The number of its line in the Dockerfile.
    """

    option: str
    absolute: str
    line: int


def refusal(builder: Builder, version: str, mount: RelativeMount) -> str:
    """Returns why a builder cannot mount to a relative path, and the remedy; empty if it can.

    Args:
        builder: The builder.
        version: Output of its command ``version``.
        mount: The mount.
    """
    first, found = _FIRST.get(builder), _VERSION.search(version)
    if first is None or found is None or (int(found.group(2)), int(found.group(3))) >= first:
        return ""
    written = mount.absolute or "an absolute path"
    return (
        f"line {mount.line}: {builder} {found.group(1)} cannot mount to a relative path, "
        f"{mount.option}; build with {builder} {first[0]}.{first[1]} or newer or with docker, "
        f"or write {written} there and in each such mount"
    )


def relative_mounts(text: str) -> Iterator[RelativeMount]:
    """Yields the mounts of a Dockerfile whose targets are relative, from top to bottom."""
    directories: dict[str, str] = {}
    stage = directory = ""
    for instruction, argument in instructions(text):
        if instruction == "FROM":
            words = [word.lower() for word in argument.split() if not word.startswith("--")]
            # An image of others may have a working directory, which is not known.
            directory = directories.get(words[0], "") if words else ""
            stage = words[2] if len(words) > 2 else ""
        elif instruction == "WORKDIR":
            given = argument.strip("\"'")
            is_known = "$" not in given and (directory or given.startswith("/"))
            directory = posixpath.join(directory, given) if is_known else ""
        elif instruction == "RUN":
            yield from _relative(argument, directory, text)
        directories[stage] = directory


def _relative(argument: str, directory: str, text: str) -> Iterator[RelativeMount]:
    for mount in re.findall(r"--mount=(\S+)", argument):
        options = dict(part.partition("=")[::2] for part in mount.strip("\"'").split(","))
        for name in _TARGETS:
            target = options.get(name, "/")
            if options.get("type", "bind") not in _KINDS or target.startswith(("/", "$")):
                continue
            option = f"{name}={target}"
            absolute = f"{name}={posixpath.join(directory, target)}" if directory else ""
            yield RelativeMount(option, absolute, _line_of(option, text))


def _line_of(option: str, text: str) -> int:
    whole = re.compile(rf"{re.escape(option)}(?![^\s,\"'])")
    return next(at for at, line in enumerate(text.splitlines(), start=1) if whole.search(line))
