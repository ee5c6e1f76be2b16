"""The files that an image build gets: a directory without what its ignore file excludes.

The patterns are those of Docker, which Podman and Buildah use too: the last pattern that matches a
path or one of its directories decides, and ``!`` includes again.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Files with values of an environment, but not the examples that projects publish.
_SECRETS = re.compile(r"\.env(\.(?!(.*\.)?(example|sample|template|dist|defaults)$).+)?")


@dataclass(frozen=True)
class _Pattern:
    expression: re.Pattern[str]
    includes: bool


class IgnoreRules:
    """The patterns of an ignore file."""

    def __init__(self, text: str = "") -> None:
        self._patterns = tuple(_patterns(text))
        self._can_include = any(pattern.includes for pattern in self._patterns)

    def exclude(self, path: str) -> bool:
        """Whether a file or directory is excluded; the path is relative to the context."""
        places = [path, *(str(place) for place in PurePosixPath(path).parents)][:-1] or [path]
        excluded = False
        for pattern in self._patterns:
            if any(pattern.expression.fullmatch(place) for place in places):
                excluded = not pattern.includes
        return excluded

    def exclude_all_below(self, path: str) -> bool:
        """Whether no file of a directory can be included again, so that it need not be read."""
        return not self._can_include and self.exclude(path)


@dataclass(frozen=True)
class Sources:
    """What an image is built from.

    Attributes:
        directory: The directory of the build, as an absolute path.
        dockerfile: The Dockerfile, as an absolute path.
        ignore: The ignore file; None without one.
        files: The files that the build gets, relative to the directory.
        added: Texts of files that are not written yet, by their path relative to the directory.
    """

    directory: Path
    dockerfile: Path
    ignore: Path | None
    files: tuple[str, ...]
    added: Mapping[str, str]

    @property
    def dockerfile_text(self) -> str:
        """The Dockerfile, also if it is not written yet."""
        name = os.path.relpath(self.dockerfile, self.directory)
        return self.added.get(name) or self.dockerfile.read_text(errors="replace")

    @property
    def all_files(self) -> tuple[str, ...]:
        """The files on which the image depends: also the Dockerfile, if it is ignored."""
        return (*self.files, os.path.relpath(self.dockerfile, self.directory))


def read_sources(
    directory: Path, dockerfile: Path, *, is_docker: bool, added: Mapping[Path, str]
) -> Sources:
    """Returns what an image is built from.

    Args:
        directory: The directory of the build.
        dockerfile: The Dockerfile.
        is_docker: Whether Docker builds.
        added: Texts of files that are not written yet.
    """
    directory, dockerfile = directory.resolve(), dockerfile.resolve()
    texts = {path.resolve(): text for path, text in added.items()}
    ignore = _ignore_file(directory, dockerfile, texts, is_docker=is_docker)
    rules = IgnoreRules("" if ignore is None else texts.get(ignore) or ignore.read_text())
    return Sources(
        directory=directory,
        dockerfile=dockerfile,
        ignore=ignore,
        files=tuple(_files(directory, rules)),
        added={os.path.relpath(path, directory): text for path, text in texts.items()},
    )


def _ignore_file(
    directory: Path, dockerfile: Path, added: Mapping[Path, str], *, is_docker: bool
) -> Path | None:
    """Returns the ignore file of a build; Podman and Buildah also read ``.containerignore``."""
    names = [".dockerignore"] if is_docker else [".containerignore", ".dockerignore"]
    paths = [
        dockerfile.with_name(f"{dockerfile.name}.dockerignore"),
        *(directory / name for name in names),
    ]
    return next((path for path in paths if path in added or path.is_file()), None)


def _files(directory: Path, rules: IgnoreRules) -> Iterator[str]:
    """Yields the files that the build gets, in a fixed order, relative to its directory."""
    for folder, directories, names in os.walk(directory):
        below = PurePosixPath(Path(folder).relative_to(directory).as_posix())
        # A link to a directory is sent as a link.
        links = [name for name in directories if Path(folder, name).is_symlink()]
        directories[:] = sorted(
            name
            for name in directories
            if name not in links and not rules.exclude_all_below(str(below / name))
        )
        for name in sorted((*names, *links)):
            path = str(below / name)
            if not rules.exclude(path):
                yield path


def secret_files(paths: Iterable[str]) -> list[str]:
    """Returns the files with values of an environment, for example ``.env``."""
    return [path for path in paths if _SECRETS.fullmatch(PurePosixPath(path).name)]


def _patterns(text: str) -> Iterator[_Pattern]:
    for line in text.removeprefix("\ufeff").splitlines():
        pattern = "" if line.startswith("#") else line.strip()
        includes = pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip() if includes else pattern
        if not pattern:
            continue
        cleaned = os.path.normpath(pattern).lstrip("/")
        if cleaned and cleaned != ".":
            yield _Pattern(re.compile(_expression(cleaned), re.DOTALL), includes)


def _expression(pattern: str) -> str:
    """Translates a pattern as Docker does: only ``**`` matches across directories."""
    expression, rest = "", pattern
    while rest:
        if rest.startswith("**"):
            rest = rest[2:].removeprefix("/")
            expression += "(.*/)?" if rest else ".*"
        elif rest[0] in "*?":
            expression += "[^/]*" if rest[0] == "*" else "[^/]"
            rest = rest[1:]
        elif rest[0] == "[" and "]" in rest[1:]:
            end = rest.index("]", 1)
            expression += rest[: end + 1].replace("\\", "\\\\")
            rest = rest[end + 1 :]
        else:
            rest = rest[1:] if rest[0] == "\\" and len(rest) > 1 else rest
            expression += re.escape(rest[0])
            rest = rest[1:]
    return expression
