"""Reads commands as a shell does, and finds the processes that they start."""

import re
import shlex
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SERVERS = ("uvicorn", "gunicorn", "granian", "hypercorn", "fastapi")
_TARGET = re.compile(r"^([A-Za-z_][\w.]*):([A-Za-z_]\w*)(\(\))?$")
ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*)=(.*)$", re.DOTALL)
_EXPANSION = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")
# Programs that run the command in their arguments, with their own options that take a value.
_WRAPPERS = {
    "poetry": ("run",),
    "uv": ("run",),
    "pdm": ("run",),
    "pipenv": ("run",),
    "hatch": ("run",),
    "exec": (),
    "dumb-init": (),
    "tini": (),
    "ddtrace-run": (),
    "opentelemetry-instrument": (),
    "newrelic-admin": ("run-program",),
    "nice": (),
    "time": (),
}
_SHELLS = ("sh", "bash", "/bin/sh", "/bin/bash")
_ENVIRONMENTS = ("poetry", "uv", "pdm", "pipenv")


# Words of a shell before a command.
_PREFIXES = ("export", "if", "then", "else", "do", "!", "set")
_MAX_LENGTH = 512
_MAX_WORDS = 48


@dataclass(frozen=True)
class Process:
    """One command.

    Attributes:
        program: Its program without the directory, for example ``uvicorn``.
        arguments: Its arguments.
        source: The file that starts it.
        manager: The package manager in whose environment it runs, for example ``poetry``.
        interpreter: Python's own words before the program, for example ``python -m``.
    """

    program: str
    arguments: tuple[str, ...]
    source: str
    manager: str = ""
    interpreter: str = ""

    @property
    def is_own_code(self) -> bool:
        """Whether Python runs a script or a module of the project."""
        known = (*SERVERS, "pytest", "pip", "celery", "alembic")
        is_script = self.program.startswith("python") and "-c" not in self.arguments[:1]
        return is_script or (bool(self.interpreter) and self.program not in known)

    @property
    def text(self) -> str:
        """The command as a line for a shell."""
        words = [self.program, *self.arguments]
        return " ".join([*([self.interpreter] if self.interpreter else ()), shlex.join(words)])

    @property
    def command(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return (self.program, *self.arguments)

    @property
    def target(self) -> tuple[str, str, bool] | None:
        """The module and the name of the application, and whether it is called to make it."""
        for argument in self.arguments:
            match = _TARGET.match(argument)
            if match:
                called = match.group(3) is not None or "--factory" in self.arguments
                return match.group(1), match.group(2), called
        return None

    def option(self, *names: str) -> str:
        """Returns the value of an option, written as ``--name value`` or ``--name=value``."""
        for place, argument in enumerate(self.arguments):
            for name in names:
                if argument == name and place + 1 < len(self.arguments):
                    return self.arguments[place + 1]
                if argument.startswith(f"{name}="):
                    return argument.partition("=")[2]
                is_short = len(name) == 2 and not argument.startswith("--")
                if is_short and argument.startswith(name) and len(argument) > 2:
                    return argument[2:]
        return ""


def in_command(command: object, source: str, known: Mapping[str, str]) -> Iterator[Process]:
    """Yields the processes of a command: a list of arguments, or a line for a shell."""
    if isinstance(command, list):
        yield from _of_words([str(word) for word in command], source, known)
    elif isinstance(command, str):
        yield from in_shell(command, source, known)


def in_shell(script: str, source: str, known: Mapping[str, str]) -> Iterator[Process]:
    """Yields the processes of a shell script; variables that it sets are expanded."""
    values = dict(known)
    lines = re.sub(r"\\\r?\n", " ", script).splitlines()
    for command in (command for line in lines for command in _simple_commands(line)):
        words = deque(command)
        while words and words[0] in _PREFIXES:
            words.popleft()
        while words and (match := ASSIGNMENT.match(words[0])):
            values[match.group(1)] = expanded(match.group(2), values)
            words.popleft()
        yield from _of_words(list(words), source, values)


def _simple_commands(line: str) -> Iterator[list[str]]:
    """Yields the words of each command in a line, for example of those between ``&&``."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set(";&|"):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:
        return  # a quote is not closed
    yield words


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Expands ``$NAME``, ``${NAME}`` and ``${NAME:-default}``.

    An unknown name without a default is written as Kubernetes expands it: ``$(NAME)``.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        return values.get(name) or (match[2] if match[2] is not None else f"$({name})")

    return _EXPANSION.sub(value, text)


def split_words(line: str) -> list[str]:
    """Splits a line as a shell does; empty if a quote is not closed."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return []


def _of_words(
    words: Sequence[str], source: str, known: Mapping[str, str], manager: str = ""
) -> Iterator[Process]:
    if words and words[0] in _SHELLS and "-c" in words[1:-1]:
        yield from in_shell(words[list(words).index("-c") + 1], source, known)
        return
    words = [word for word in (expanded(word, known) for word in words) if word]
    # What is not plain text is not an argument of a Pod either.
    plain = all(word.isprintable() and len(word) <= _MAX_LENGTH for word in words)
    if not words or not plain or len(words) > _MAX_WORDS:
        return
    program = words[0].rpartition("/")[2]
    if program in _WRAPPERS:
        rest = words[1:]
        manager = program if program in _ENVIRONMENTS else manager
        while rest and (rest[0].startswith("-") or rest[0] in _WRAPPERS[program]):
            rest = rest[1:]
        if program not in _ENVIRONMENTS or len(rest) < len(words) - 1:
            yield from _of_words(rest, source, known, manager)
    elif program.startswith("python") and words[1:2] == ["-m"] and len(words) > 2:
        yield Process(words[2], tuple(words[3:]), source, manager, f"{words[0]} -m")
    elif "--" in words and program not in SERVERS:
        # For example wait-for-it db:5432 -- uvicorn …
        yield from _of_words(words[words.index("--") + 1 :], source, known, manager)
    else:
        yield Process(program, tuple(words[1:]), source, manager)
