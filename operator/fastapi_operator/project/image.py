"""Reads Dockerfiles: the last stage of each, and the processes that it starts."""

import json
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fastapi_operator.project.processes import (
    ASSIGNMENT,
    Process,
    expanded,
    in_command,
    in_shell,
    split_words,
)
from fastapi_operator.project.source import read_text

_FOLDERS = ("docker", "deploy", "compose")
_SCRIPT_FOLDERS = (".", "scripts", "docker", "bin", "deploy", "compose", "src", "app")
_MAX_SCRIPTS = 4
# Words in the names of Dockerfiles that do not build the image of the app in production.
_OF_DEVELOPMENT = re.compile(r"dev|test|local|debug")
_OF_OTHERS = re.compile(r"worker|celery|beat|front|nginx|streamlit|/ui/|/db/|postgres")


@dataclass(frozen=True)
class Dockerfile:
    """The last stage of a Dockerfile.

    Attributes:
        path: Its path in the project.
        text: Its text.
        directory: Its working directory; empty if it is not set.
        environment: The variables that it sets.
        processes: The processes of its ENTRYPOINT and CMD, also those in their scripts.
        scripts: The scripts of the project that they run.
        port: The port that it exposes.
        copies: The files of the project that it has: path in the build, and path in the image.
    """

    path: str
    text: str
    directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: tuple[Process, ...] = ()
    scripts: tuple[str, ...] = ()
    port: int | None = None
    copies: tuple[tuple[str, str], ...] = ()

    @property
    def manager(self) -> str:
        """The package manager in whose environment the app is, for example ``poetry``."""
        started = next((process.manager for process in self.processes if process.manager), "")
        installed = re.search(r"\b(poetry|uv|pdm|pipenv) (install|sync)\b", self.text)
        return started or (installed.group(1) if installed else "")

    def path_of(self, name: str) -> str | None:
        """Returns the path in the image of a file of the project; None if it is not copied."""
        for source, target in reversed(self.copies):
            if source in (".", name):
                return posixpath.join(target, "" if source == name else name).rstrip("/")
            if name.startswith(f"{source}/"):
                return posixpath.join(target, name[len(source) + 1 :])
        return None


def dockerfiles(root: Path, above: Path | None = None) -> tuple[Dockerfile, ...]:
    """Returns the Dockerfiles of a project, that of its image in production first.

    Args:
        root: Directory of the project.
        above: Directory of its repository, which can have the Dockerfile of the project.
    """
    files = _files(root)
    if not files and above is not None:
        files = {
            path
            for path in _files(above)
            if re.search(rf"\b{re.escape(root.name)}/", read_text(path))
        }
    return tuple(_read(root, path) for path in sorted(files, key=lambda path: _purpose(root, path)))


def _files(folder: Path) -> set[Path]:
    paths = [*folder.glob("*ockerfile*"), *folder.glob("*ontainerfile*")]
    paths += [path for name in _FOLDERS for path in folder.glob(f"{name}/**/*ockerfile*")]
    return {path for path in paths if path.is_file() and path.suffix != ".dockerignore"}


def _purpose(root: Path, path: Path) -> tuple[bool, bool, int, bool, str]:
    name = f"/{os.path.relpath(path, root)}".lower()
    return (
        bool(_OF_DEVELOPMENT.search(name)),
        bool(_OF_OTHERS.search(name)),
        len(path.parts),
        path.name != "Dockerfile",
        name,
    )


def _read(root: Path, path: Path) -> Dockerfile:
    name, text = os.path.relpath(path, root), read_text(path)
    directory, port = "", None
    environment: dict[str, str] = {}
    commands: dict[str, str] = {}
    for instruction, argument in instructions(text):
        if instruction == "FROM":
            directory, port, environment, commands = "", None, {}, {}
        elif instruction in ("ENV", "ARG"):
            environment |= _variables(argument, environment)
        elif instruction == "WORKDIR":
            given = expanded(argument.strip("\"'"), environment).rstrip("/")
            directory = given if given.startswith("/") else f"{directory}/{given}"
        elif instruction == "EXPOSE":
            number = re.match(r"[0-9]+", expanded(argument, environment))
            port = int(number.group()) if number else None
        elif instruction in ("CMD", "ENTRYPOINT"):
            commands[instruction] = argument
    last = re.split(r"(?mi)^FROM\s", text)[-1]
    processes, scripts = _started_by(root, name, commands, environment)
    return Dockerfile(
        path=name,
        text=text,
        directory=directory,
        environment=environment,
        processes=processes,
        scripts=scripts,
        port=port,
        copies=tuple(_copies(last, directory)),
    )


def _started_by(
    root: Path, name: str, commands: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[tuple[Process, ...], tuple[str, ...]]:
    """Returns the processes of ENTRYPOINT and CMD, and the scripts among them."""
    found: list[Process] = []
    scripts: list[str] = []
    entrypoint, given = (_command(commands.get(key, "")) for key in ("ENTRYPOINT", "CMD"))
    whole = [entrypoint, given]
    if isinstance(entrypoint, list) and isinstance(given, list):
        first = next(in_command(entrypoint, name, environment), None)
        # The arguments of a script are a command of their own.
        if first is not None and _script(root, first) is None:
            whole = [[*entrypoint, *given]]
    for command in whole:
        for process in in_command(command, name, environment):
            script = _script(root, process)
            if script is None or len(scripts) == _MAX_SCRIPTS:
                found.append(process)
            elif script not in scripts:
                scripts.append(script)
                found += in_shell(read_text(root / script), script, environment)
    return tuple(found), tuple(scripts)


def _command(argument: str) -> object:
    try:
        return json.loads(argument) if argument.startswith("[") else argument
    except ValueError:
        return argument


def _script(root: Path, process: Process) -> str | None:
    """Returns the script of the project that a process runs, by its name."""
    names = [process.program]
    if process.program in ("sh", "bash"):
        names = [argument.rpartition("/")[2] for argument in process.arguments]
    for name in names:
        if not re.fullmatch(r"[\w.-]+", name):
            continue
        for folder in _SCRIPT_FOLDERS:
            for path in (root / folder / name, *(root / folder).glob(f"*/{name}")):
                if path.is_file() and path.suffix in ("", ".sh"):
                    return str(path.relative_to(root))
    return None


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yields the instructions of a Dockerfile in capital letters, each with its argument."""
    lines = re.sub(r"(?m)^\s*#.*\n", "", text)
    for line in re.sub(r"\\[ \t]*\r?\n", " ", lines).splitlines():
        match = re.match(r"\s*([A-Za-z]+)\s+(.*)", line)
        if match:
            yield match.group(1).upper(), match.group(2).strip()


def _copies(stage: str, directory: str) -> Iterator[tuple[str, str]]:
    """Yields what a stage copies from the build: each source, and its path in the image."""
    for instruction, argument in instructions(f"FROM {stage}"):
        words = split_words(argument.strip("[]").replace(",", " "))
        options = [word for word in words if word.startswith("--")]
        names = [word for word in words if not word.startswith("--")]
        is_copy = instruction in ("COPY", "ADD") and len(names) > 1
        if not is_copy or any(option.startswith("--from") for option in options):
            continue
        target = posixpath.normpath(posixpath.join(directory or "/", names[-1]))
        for name in names[:-1]:
            source = posixpath.normpath(name.removesuffix("*"))
            is_file = len(names) > 2 or names[-1].endswith(("/", ".")) or names[-1] == directory
            inside = is_file and "." in posixpath.basename(source) and source != "."
            yield source, posixpath.join(target, posixpath.basename(source)) if inside else target


def _variables(argument: str, known: Mapping[str, str]) -> dict[str, str]:
    words = split_words(argument)
    if words and "=" not in words[0]:
        return {words[0]: expanded(" ".join(words[1:]), known)}
    pairs = (ASSIGNMENT.match(word) for word in words)
    return {match.group(1): expanded(match.group(2), known) for match in pairs if match}
