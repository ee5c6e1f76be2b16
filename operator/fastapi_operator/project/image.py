"""Reads Dockerfiles: the last stage of each, and the processes that it starts."""

import json
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
    """

    path: str
    text: str
    directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: tuple[Process, ...] = ()
    scripts: tuple[str, ...] = ()
    port: int | None = None


def dockerfiles(root: Path) -> tuple[Dockerfile, ...]:
    """Returns the Dockerfiles of a project, that of its image in production first."""
    paths = [*root.glob("*ockerfile*"), *root.glob("*ontainerfile*")]
    paths += [path for folder in _FOLDERS for path in root.glob(f"{folder}/**/*ockerfile*")]
    files = {path for path in paths if path.is_file() and path.suffix != ".dockerignore"}
    return tuple(_read(root, path) for path in sorted(files, key=lambda path: _purpose(root, path)))


def _purpose(root: Path, path: Path) -> tuple[bool, bool, int, bool, str]:
    name = f"/{path.relative_to(root)}".lower()
    return (
        bool(_OF_DEVELOPMENT.search(name)),
        bool(_OF_OTHERS.search(name)),
        len(path.parts),
        path.name != "Dockerfile",
        name,
    )


def _read(root: Path, path: Path) -> Dockerfile:
    name, text = str(path.relative_to(root)), read_text(path)
    directory, port = "", None
    environment: dict[str, str] = {}
    commands: dict[str, str] = {}
    for instruction, argument in _instructions(text):
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
    processes, scripts = _started_by(root, name, commands, environment)
    return Dockerfile(
        path=name,
        text=text,
        directory=directory,
        environment=environment,
        processes=processes,
        scripts=scripts,
        port=port,
    )


def _started_by(
    root: Path, name: str, commands: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[tuple[Process, ...], tuple[str, ...]]:
    """Returns the processes of ENTRYPOINT and CMD, and the scripts among them."""
    found: list[Process] = []
    scripts: list[str] = []
    for instruction in ("ENTRYPOINT", "CMD"):
        command = _command(commands.get(instruction, ""))
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


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = re.sub(r"(?m)^\s*#.*\n", "", text)
    for line in re.sub(r"\\[ \t]*\r?\n", " ", lines).splitlines():
        match = re.match(r"\s*([A-Za-z]+)\s+(.*)", line)
        if match:
            yield match.group(1).upper(), match.group(2).strip()


def _variables(argument: str, known: Mapping[str, str]) -> dict[str, str]:
    words = split_words(argument)
    if words and "=" not in words[0]:
        return {words[0]: expanded(" ".join(words[1:]), known)}
    pairs = (ASSIGNMENT.match(word) for word in words)
    return {match.group(1): expanded(match.group(2), known) for match in pairs if match}
