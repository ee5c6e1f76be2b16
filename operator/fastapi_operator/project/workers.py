"""Background processes of a project: those that its files start, or else those in its code."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fastapi_operator.project import celery, syntax
from fastapi_operator.project.processes import Process
from fastapi_operator.project.source import Module, Project

# Libraries whose command is a worker, unless it is a scheduler.
_WORKERS = ("arq", "taskiq", "dramatiq", "saq", "procrastinate", "pgq", "rq", "huey_consumer")
# Of these, the ones that start a process for each core, and the options that change it.
_PER_CORE = {"taskiq": ("--workers", "-w"), "dramatiq": ("--processes", "-p")}
_RELOADING = ("--reload", "--watch", "-r")
# What a declaration in the code is, and the command that runs it.
_DECLARED = {
    "arq": ("WorkerSettings of arq", ("arq", "{dotted}")),
    "taskiq": ("a broker of taskiq", ("taskiq", "worker", "{target}")),
    "scheduler": ("TaskiqScheduler", ("taskiq", "scheduler", "{target}")),
    "dramatiq": ("a broker of dramatiq", ("dramatiq", "{module}")),
    "procrastinate": ("App of procrastinate", ("procrastinate", "--app", "{dotted}", "worker")),
    "saq": ("settings of saq", ("saq", "{dotted}")),
}


@dataclass(frozen=True)
class Worker:
    """A background process.

    Attributes:
        name: Its name, for example ``worker``.
        command: Its command.
        source: The file that starts or declares it.
        broker: Where its tasks are: ``Redis``, ``PostgreSQL``, or a store that is not provided.
        reads: Names in the expression of its broker, for example ``BROKER_URL``.
        singleton: Whether it is a scheduler, which must not run twice.
        processes: Number of processes that it starts.
    """

    name: str
    command: tuple[str, ...]
    source: str
    broker: str
    reads: frozenset[str]
    singleton: bool = False
    processes: int = 1

    @property
    def expands(self) -> frozenset[str]:
        """The variables in its command, for example in ``--url $(REDIS_URL)``."""
        return frozenset(re.findall(r"\$\((\w+)\)", " ".join(self.command)))


@dataclass(frozen=True)
class _Declaration:
    """A broker or a worker in the code."""

    library: str
    module: Module
    name: str
    node: ast.AST


def workers(project: Project, started: tuple[Process, ...]) -> tuple[Worker, ...]:
    """Returns the background processes; of several with one name, the first."""
    declared = {found.library: found for found in reversed(list(_declarations(project)))}
    found: dict[str, Worker] = {}
    for worker in (*_started(project, started, declared), *_of_code(project, declared)):
        found.setdefault(worker.name, worker)
    return tuple(found.values())


def _started(
    project: Project, started: tuple[Process, ...], declared: Mapping[str, _Declaration]
) -> Iterator[Worker]:
    for process in started:
        program, words = process.program, process.arguments
        found = declared.get(program) or _named(project, process)
        reads, broker = _reads(found), _broker(project, program)
        command = tuple(word for word in process.command if word not in _RELOADING)
        if program == "celery" and "worker" in words:
            bounded, number = celery.worker(project, process)
            yield Worker("worker", bounded, process.source, broker, reads, processes=number)
        elif program == "celery" and "beat" in words:
            command = celery.beat(command)
            yield Worker("beat", command, process.source, broker, reads, singleton=True)
        elif program == "taskiq" and "scheduler" in words:
            yield Worker("scheduler", command, process.source, broker, reads, singleton=True)
        elif program in _WORKERS and "migrate" not in words:
            yield Worker("worker", _single(command), process.source, broker, reads)


def _named(project: Project, process: Process) -> _Declaration | None:
    """Returns the class that arq runs."""
    for word in process.arguments if process.program == "arq" else ():
        found = project.locate(word)
        if found is not None:
            return _Declaration("arq", found.module, found.name, found.node)
    return None


def _of_code(project: Project, declared: Mapping[str, _Declaration]) -> Iterator[Worker]:
    for library, found in declared.items():
        reads, broker = _reads(found), _broker(project, library)
        target = f"{found.module.name}:{found.name}"
        if library == "celery":
            process = Process("celery", ("-A", target, "worker"), f"Celery in {found.module.path}")
            command, number = celery.worker(project, process)
            yield Worker("worker", command, process.source, broker, reads, processes=number)
            schedule = celery.schedule(project)
            if schedule:
                command = celery.beat(("celery", "-A", target, "beat"))
                yield Worker("beat", command, schedule, broker, reads, singleton=True)
            continue
        title, words = _DECLARED[library]
        names = {
            "target": target,
            "dotted": target.replace(":", "."),
            "module": found.module.name,
        }
        command = _single(tuple(word.format_map(names) for word in words))
        schedules = library == "scheduler"
        yield Worker(
            name="scheduler" if schedules else "worker",
            command=command,
            source=f"{title} in {found.module.path}",
            broker=broker,
            reads=reads,
            singleton=schedules,
        )


def _declarations(project: Project) -> Iterator[_Declaration]:
    for module in project.code:
        for name, node in module.all_definitions():
            library = _library(module, name, node)
            if library:
                yield _Declaration(library, module, name, node)


def _library(module: Module, name: str, node: ast.AST) -> str:
    """Returns the library whose broker or worker a definition is; empty for none."""
    packages = module.packages
    for called in syntax.made_by(node):
        if called in ("Celery", "TaskiqScheduler"):
            return "celery" if called == "Celery" else "scheduler"
        if called == "App" and "procrastinate" in packages:
            return "procrastinate"
        if called.endswith("Broker") and called not in ("InMemoryBroker", "StubBroker"):
            if "dramatiq" in packages:
                return "dramatiq"
            return "taskiq" if any(package.startswith("taskiq") for package in packages) else ""
    if isinstance(node, ast.ClassDef) and name == "WorkerSettings":
        return "arq"
    keys = [syntax.text(key) for key in node.keys] if isinstance(node, ast.Dict) else []
    return "saq" if "saq" in packages and "queue" in keys else ""


def _single(command: tuple[str, ...]) -> tuple[str, ...]:
    """Adds the number of processes to a command that would start one for each core."""
    options = _PER_CORE.get(command[0], ())
    if not options or "scheduler" in command or set(options) & set(command):
        return command
    return (*command, options[0], "1")


def _broker(project: Project, library: str) -> str:
    if library in ("procrastinate", "pgq"):
        return "PostgreSQL"
    uses_amqp = {"aio_pika", "pika", "taskiq_aio_pika"} & project.packages or any(
        text.startswith(("amqp://", "pyamqp://"))
        for module in project.code
        for text in syntax.texts(module.tree)
    )
    return "RabbitMQ" if uses_amqp else "Redis"


def _reads(found: _Declaration | None) -> frozenset[str]:
    """Returns the names in a broker's expression, in capitals as variables are."""
    names: set[str] = set()
    nodes: list[ast.AST] = [found.node] if found else []
    for _ in range(3):
        inner: list[ast.AST] = []
        for node in (child for parent in nodes for child in ast.walk(parent)):
            if isinstance(node, ast.Attribute | ast.Name):
                names.add((node.attr if isinstance(node, ast.Attribute) else node.id).upper())
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
            if found and isinstance(node, ast.Name):
                value = found.module.definitions.get(node.id)
                if isinstance(value, ast.expr) and value is not found.node:
                    inner.append(value)
        nodes = inner
    return frozenset(names)
