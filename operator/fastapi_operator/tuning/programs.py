"""What a command of the user starts, as far as its words show it.

The plan is only true if a program starts as many processes as planned. Some programs start one for
each core of the node, unless an option or a variable sets another number.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastapi_operator.api.schedule import Background
from fastapi_operator.problems import Problem, Severity, Stage

# They start WEB_CONCURRENCY workers.
_SERVERS = frozenset({"fastapi", "granian", "gunicorn", "hypercorn", "uvicorn"})


@dataclass(frozen=True)
class Workers:
    """A program that starts several processes for the tasks of a queue.

    Attributes:
        program: Its name.
        words: The words of a command that runs it.
        options: The options that set the number of processes.
        default: The number without an option; None for one for each core of the node.
        variable: The variable that sets the number; empty for none.
        pool: The options that select something else than processes, unless it is prefork.
    """

    program: str
    words: frozenset[str]
    options: tuple[str, ...]
    default: int | None = None
    variable: str = ""
    pool: tuple[str, ...] = ()


CELERY_CONCURRENCY = "CELERY_WORKER_CONCURRENCY"
_WORKERS = (
    Workers(
        "Celery",
        frozenset({"celery", "worker"}),
        ("--autoscale", "--concurrency", "-c"),
        variable=CELERY_CONCURRENCY,
        pool=("--pool", "-P"),
    ),
    Workers("Dramatiq", frozenset({"dramatiq"}), ("--processes", "-p")),
    Workers("Taskiq", frozenset({"taskiq", "worker"}), ("--workers", "-w"), default=2),
)


def words(command: Iterable[str], args: Iterable[str] | None = None) -> tuple[str, ...]:
    """Returns the words of a command and of scripts in it; programs without their directory."""
    split = (word for item in (*command, *(args or ())) for word in re.split(r"[\s;&|'\"]+", item))
    return tuple(w if w.startswith("-") else w.rpartition("/")[2] for w in split if w)


def starts_server(command: Iterable[str], args: Iterable[str] | None) -> bool:
    """Whether a command names a server that reads WEB_CONCURRENCY."""
    return not _SERVERS.isdisjoint(words(command, args))


def runs_celery(entry: Background, command: str) -> bool:
    """Whether a background process runs this command of Celery."""
    return {"celery", command} <= set(words(entry.command, entry.args))


def workers_of(entry: Background) -> Workers | None:
    """Returns the program that starts the processes of an entry; None if it is not known."""
    found = words(entry.command, entry.args)
    program = next((known for known in _WORKERS if known.words <= set(found)), None)
    if program and program.pool and _value(found, program, program.pool) not in (None, "prefork"):
        # Threads or greenlets in one process.
        return None
    return program


def started_processes(entry: Background) -> int | None:
    """Returns the number of processes that a command starts; None if the number is not known."""
    program = workers_of(entry)
    if program is None:
        return None
    value = _value(words(entry.command, entry.args), program, program.options)
    number = re.match(r"[0-9]+", value or "")
    return int(number.group()) if number and int(number.group()) > 0 else program.default


def program_problems(background: Iterable[Background]) -> Iterator[Problem]:
    """Reports commands that start another number of processes than planned."""
    for entry in background:
        program, started = workers_of(entry), started_processes(entry)
        planned, path = entry.processes or started or 1, f"spec.background[{entry.name}]"
        if program is None or started == planned:
            continue
        option = program.options[-2]
        if started is not None:
            yield _warning(
                f"{path}.processes",
                f"the command starts {started} processes, but the memory and the connections are "
                f"for {planned}",
                f"set {started}, or {option} {planned} in the command",
            )
        elif not program.variable:
            yield _warning(
                f"{path}.command",
                f"{program.program} starts one process for each core of the node, but the memory "
                f"and the connections are for {planned}",
                f"add {option} {planned} to the command",
            )


def _value(found: tuple[str, ...], program: Workers, options: Iterable[str]) -> str | None:
    """Returns the value of the first option of a program, in each form in which it is written."""
    # Words before the program belong to a shell or to Python.
    own = found[min(found.index(word) for word in program.words) :]
    for option in options:
        for word, following in zip(own, (*own[1:], ""), strict=True):
            if word == option:
                return following
            if word.startswith(f"{option}="):
                return word.removeprefix(f"{option}=")
            if len(option) == 2 and word.startswith(option) and len(word) > 2:
                return word[2:]
    return None


def _warning(path: str, message: str, remedy: str) -> Problem:
    return Problem(Severity.WARNING, Stage.PLAN, path, message, remedy)
