"""Where the files of a build are in its image, according to the Dockerfile.

Only the last stage becomes the image. A file of an earlier stage is in it if the last one begins
with that stage, or copies a directory of it that has the file.
"""

import fnmatch
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fastapi_operator.project.image import instructions
from fastapi_operator.project.processes import split_words

# A place that is not known, because an argument, a pattern or a command decides it.
_ANYWHERE = ""


@dataclass
class _Stage:
    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)


def may_contain(text: str, path: str) -> bool:
    """Whether the image of a Dockerfile may have a file of its build.

    Args:
        text: The Dockerfile.
        path: The file, relative to the directory of the build.
    """
    stages = list(_stages(text))
    return any(True for _ in _places(stages, len(stages) - 1, path)) if stages else True


def copying(text: str, path: str) -> str:
    """Returns the instruction that copies a file by its name; empty if none does."""
    for instruction, argument in instructions(text):
        if instruction in ("COPY", "ADD"):
            named = (posixpath.normpath(name.lstrip("/")) for name in sources(words_of(argument)))
            if path in named:
                return f"{instruction} {argument}"
    return ""


def sources(words: list[str]) -> list[str]:
    """Returns the sources of COPY or ADD: not URLs or texts within the Dockerfile."""
    given = [word for word in words if not word.startswith("--")][:-1]
    return [source for source in given if not re.match(r"<<|[a-z]+://|git@", source)]


def words_of(argument: str) -> list[str]:
    """Returns the words of COPY or ADD, in either form."""
    return split_words(argument.strip("[]").replace(",", " "))


def _stages(text: str) -> Iterator[_Stage]:
    stage = None
    for instruction, argument in instructions(text):
        if instruction == "FROM":
            if stage is not None:
                yield stage
            words = [word for word in argument.split() if not word.startswith("--")]
            name = words[2] if len(words) > 2 else ""
            stage = _Stage(name.lower(), words[0].lower() if words else "")
        elif stage is not None:
            stage.steps.append((instruction, argument))
    if stage is not None:
        yield stage


def _places(stages: list[_Stage], index: int, path: str) -> Iterator[str]:
    """Yields the paths that a file may have in a stage."""
    stage = stages[index]
    base = _find(stages[:index], stage.base)
    if base is not None:
        yield from _places(stages, base, path)
    directory = "/"
    for instruction, argument in stage.steps:
        if instruction == "WORKDIR":
            directory = posixpath.join(directory, argument.strip("\"'"))
        elif instruction in ("COPY", "ADD"):
            yield from _copied(stages[:index], words_of(argument), directory, path)
        elif instruction == "RUN":
            yield from (_ANYWHERE for place in _mounted(argument) if _rest(place, path) is not None)


def _copied(earlier: list[_Stage], words: list[str], directory: str, path: str) -> Iterator[str]:
    taken = sources(words)
    target = posixpath.join(directory, words[-1]) if words else directory
    origin = next((word.partition("=")[2] for word in words if word.startswith("--from=")), None)
    if origin is None:
        found = [path]
    else:
        index = _find(earlier, origin.lower())
        found = list(_places(earlier, index, path)) if index is not None else []
    for place in found:
        for source in taken:
            rest = _ANYWHERE if place == _ANYWHERE else _rest(source, place.lstrip("/"))
            if rest is not None:
                known = rest and "$" not in target
                yield posixpath.normpath(posixpath.join(target, rest)) if known else _ANYWHERE


def _find(stages: list[_Stage], name: str) -> int | None:
    """Returns the index of a stage by its name or number."""
    if name.isdigit() and int(name) < len(stages):
        return int(name)
    return next((index for index, stage in enumerate(stages) if name and stage.name == name), None)


def _rest(source: str, path: str) -> str | None:
    """Returns the path below a source; None if the source does not have it."""
    known, variable, _ = posixpath.normpath(source.lstrip("/") or ".").partition("$")
    places = (path, *map(str, PurePosixPath(path).parents))
    if variable or re.search(r"[*?[]", known):
        # The value of an argument is not known, so all names that begin like it are meant.
        pattern = f"{known}*" if variable else known
        return _ANYWHERE if any(fnmatch.fnmatchcase(place, pattern) for place in places) else None
    if known == path:
        return posixpath.basename(path)
    return path if known == "." else path[len(known) + 1 :] if known in places else None


def _mounted(argument: str) -> Iterator[str]:
    """Yields the paths of the build that a command could copy."""
    for mount in re.findall(r"--mount=(\S+)", argument):
        options = dict(part.partition("=")[::2] for part in mount.split(","))
        if options.get("type", "bind") == "bind" and "from" not in options:
            yield options.get("source") or options.get("src") or "."
