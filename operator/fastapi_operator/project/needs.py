"""The needs of a project, each with its source."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi_operator import naming
from fastapi_operator.project import data, health, syntax, tables
from fastapi_operator.project.application import Application, application
from fastapi_operator.project.connections import CONTRACT_NAMES, Names, connection_names
from fastapi_operator.project.data import Database
from fastapi_operator.project.examples import with_examples
from fastapi_operator.project.guess import Guess
from fastapi_operator.project.image import Dockerfile, dockerfiles
from fastapi_operator.project.logins import with_logins
from fastapi_operator.project.packaging import Packaging, packaging
from fastapi_operator.project.processes import Process
from fastapi_operator.project.source import Project
from fastapi_operator.project.started import started
from fastapi_operator.project.tables import Migration
from fastapi_operator.project.variable import Variable, is_secret
from fastapi_operator.project.variables import variables
from fastapi_operator.project.workers import Worker, workers

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ASGI = ("uvicorn", "gunicorn", "hypercorn")
_SOCKETS = ("websockets", "wsproto")
# Names of the contract that a service as written does not have.
_ONLY_IF_CONFIGURED = frozenset({"SENTRY_DSN"})
# Names of directories and projects that do not tell one project from another.
_GENERAL = ("app", "api", "backend", "server", "src", "project", "service", "fastapi")
_ROOT_PATH = re.compile(r"/[A-Za-z0-9._~/-]{1,255}")
_LEAST_PORT = 1024
_GREATEST_PORT = 65535


@dataclass(frozen=True)
class Needs:
    """The needs of a service; None if no sign of a need was found.

    Attributes:
        image: The Dockerfile of the project.
        required: Variables that must be set.
        optional: Variables that have a default in the code.
        environment: Further variables of the image, for example PATH, with their source.
        engine: The server, if it is not uvicorn.
        additions: Packages that the server needs and the project does not declare.
    """

    name: Guess[str]
    version: Guess[str]
    application: Application
    image: Dockerfile | None
    processes: tuple[Process, ...]
    packaging: Packaging
    port: Guess[int] | None
    root_path: Guess[str] | None
    engine: str
    additions: tuple[str, ...]
    database: Database | None
    migration: Migration | None
    redis: Guess[str] | None
    queue: Guess[str] | None
    workers: tuple[Worker, ...]
    probes: Guess[dict[str, str]] | None
    names: Names
    required: tuple[Variable, ...]
    optional: tuple[Variable, ...]
    environment: tuple[tuple[str, Guess[str]], ...]


def find_needs(project: Project) -> Needs:
    """Returns the needs of a project.

    Raises:
        ProjectError: No ASGI application was found.
    """
    files = dockerfiles(project.root, project.above)
    image = files[0] if files else None
    processes = tuple(started(project.root, project.above))
    app = application(project, processes)
    found = workers(project, processes)
    migration = tables.migration(project, image, processes) or tables.of_jobs(found)
    if migration and migration.missing and tables.creates_tables(project):
        migration = None  # The image cannot run it, and the app works without it.
    database = data.database(project, migration)
    read = variables(project)
    queue = next((Guess("", worker.source) for worker in found if worker.broker == "Redis"), None)
    redis = data.cache(project)
    read = (*read, *_of_commands(found, read))
    stores = {"database": database, "redis": redis, "queue": queue}
    names = connection_names(
        read,
        frozenset(store for store, need in stores.items() if need is not None),
        _reads(found, "Redis"),
        # An ORM reads the same name, and must stay behind the pooler.
        frozenset() if project.uses(*data.ORMS) else _reads(found, "PostgreSQL"),
    )
    names = with_logins(project, names, _name(project).value)
    if queue is not None and not names.finds("redis"):
        redis = None
    given = (CONTRACT_NAMES - _ONLY_IF_CONFIGURED) | names.all
    unnamed = (variable for variable in read if variable.name not in given)
    others = tuple(with_examples(project, unnamed))
    return Needs(
        name=_name(project),
        version=_version(project),
        application=app,
        image=image,
        processes=processes,
        packaging=packaging(project),
        port=_port(project, image, processes),
        root_path=_root_path(processes),
        engine="Granian" if project.uses("granian") and not project.uses(*_ASGI) else "",
        additions=_additions(project),
        database=database,
        migration=migration if database else None,
        redis=redis,
        queue=queue,
        workers=found,
        probes=health.probes(project),
        names=names,
        required=tuple(variable for variable in others if variable.must_be_set),
        optional=tuple(variable for variable in others if not variable.must_be_set),
        environment=tuple(_environment(image)),
    )


def _of_commands(found: tuple[Worker, ...], read: tuple[Variable, ...]) -> Iterator[Variable]:
    """Yields the variables that only the commands of workers read."""
    known = {variable.name for variable in read}
    for worker in found:
        for name in worker.expands - known:
            yield Variable(name, worker.source, required=True, secret=is_secret(name))


def _reads(found: tuple[Worker, ...], broker: str) -> frozenset[str]:
    """Returns the names in the expressions and commands of workers with a kind of broker."""
    reads = (worker.reads | worker.expands for worker in found if worker.broker == broker)
    return frozenset().union(*reads)


def _name(project: Project) -> Guess[str]:
    tools = project.pyproject.get("tool", {})
    given = project.pyproject.get("project", {}).get("name") or tools.get("poetry", {}).get("name")
    is_general = str(given).lower() in _GENERAL
    source = "the project's name in pyproject.toml"
    if not given or is_general:
        given, source = _directory(project), "the directory's name"
    name = re.sub(r"[^a-z0-9]+", "-", str(given).lower()).strip("-").lstrip("0123456789-")
    return Guess(name[: naming.NAME_MAX_LENGTH].rstrip("-") or "app", source)


def _directory(project: Project) -> str:
    """Returns the directory's name; that above it if it is a general one, for example backend."""
    path = project.root.resolve()
    is_general = path.name.lower() in _GENERAL
    return path.parent.name if is_general and path.parent.name else path.name


def _version(project: Project) -> Guess[str]:
    tools = project.pyproject.get("tool", {})
    given = project.pyproject.get("project", {}).get("version") or tools.get("poetry", {}).get(
        "version"
    )
    if isinstance(given, str) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", given):
        return Guess(given, "the version in pyproject.toml")
    return Guess("0.1.0", "no version found")


def _port(
    project: Project, image: Dockerfile | None, processes: tuple[Process, ...]
) -> Guess[int] | None:
    for process in processes:
        if process.target or process.program == "fastapi":
            given = process.option("--port", "-p") or process.option("--bind", "-b")
            number = re.search(r"([0-9]+)$", given)
            if number and _LEAST_PORT <= int(number.group(1)) <= _GREATEST_PORT:
                return Guess(int(number.group(1)), process.source)
    if image and image.port and _LEAST_PORT <= image.port <= _GREATEST_PORT:
        return Guess(image.port, image.path)
    for module in project.code:
        for call in syntax.calls(module.tree):
            port = syntax.keyword(call, "port")
            value = port.value if isinstance(port, ast.Constant) else None
            runs = syntax.dotted(call.func).endswith("uvicorn.run")
            if runs and isinstance(value, int) and _LEAST_PORT <= value <= _GREATEST_PORT:
                return Guess(value, f"uvicorn.run in {module.path}")
    return None


def _root_path(processes: tuple[Process, ...]) -> Guess[str] | None:
    """Returns the path that an edge removes, from the command of the server."""
    for process in processes:
        if process.target or process.program == "fastapi":
            given = process.option("--root-path").rstrip("/")
            return Guess(given, process.source) if _ROOT_PATH.fullmatch(given) else None
    return None


def _additions(project: Project) -> tuple[str, ...]:
    """Returns the packages that the server needs and the project does not declare."""
    if not project.uses("granian", *_ASGI):
        return ("uvicorn[standard]",)
    if data.sockets(project) and not project.uses("granian", "hypercorn", *_SOCKETS):
        return ("websockets",)
    return ()


def _environment(image: Dockerfile | None) -> list[tuple[str, Guess[str]]]:
    """Returns variables without which commands do not find their programs or modules."""
    if image is None:
        return []
    found = []
    manager, paths = image.manager, image.environment.get("PATH", "")
    in_project = (
        manager == "uv"
        or "in-project true" in image.text
        or re.search(
            r"(POETRY_VIRTUALENVS_IN_PROJECT|PIPENV_VENV_IN_PROJECT)[= ](true|1)", image.text
        )
    )
    directory = image.environment.get("UV_PROJECT_ENVIRONMENT") or f"{image.directory}/.venv"
    if in_project and "venv" not in paths and image.directory:
        source = f"{manager} in {image.path} installs into {directory}"
        found.append(("PATH", Guess(f"{directory}/bin:{_SYSTEM_PATH}", source)))
    server = next((process for process in image.processes if process.target), None)
    folder = server.option("--app-dir") if server else ""
    if folder and "PYTHONPATH" not in image.environment and image.directory:
        path = folder if folder.startswith("/") else f"{image.directory}/{folder}"
        found.append(("PYTHONPATH", Guess(path, f"--app-dir in {image.path}")))
    return found
