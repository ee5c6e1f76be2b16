"""Guesses the needs of a project from its files, each guess with its source."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi_operator import naming
from fastapi_operator.project.source import Module, Project, ProjectError, called_name
from fastapi_operator.project.variables import Variable, variables

T = TypeVar("T")

# Usual modules of an app, the likeliest first. The fastapi command searches them too.
_USUAL_MODULES = ("main", "app", "api", "app.main", "app.app", "app.api")
_POSTGRES_DRIVERS = ("asyncpg", "psycopg", "psycopg2", "psycopg2-binary", "pg8000")
_CACHE_CLIENTS = ("redis", "coredis", "aiocache", "fastapi_cache", "cashews")
_RUNTIME = "fastapi_operator_runtime"
_READY_PATHS = ("/readyz", "/ready", "/healthz", "/health", "/livez")


@dataclass(frozen=True)
class Guess(Generic[T]):
    """A value, and the source from which it was guessed."""

    value: T
    source: str


@dataclass(frozen=True)
class Worker:
    """A background process."""

    name: str
    command: tuple[str, ...]
    source: str
    singleton: bool = False


@dataclass(frozen=True)
class Needs:
    """The needs of a service; None if no sign of a need was found."""

    name: Guess[str]
    version: Guess[str]
    app: Guess[str]
    factory: bool
    port: Guess[int] | None
    postgres: Guess[str] | None
    migrations: Guess[tuple[str, ...]] | None
    redis: Guess[str] | None
    queue: Guess[str] | None
    workers: tuple[Worker, ...]
    probes: Guess[dict[str, str]] | None
    variables: tuple[Variable, ...]


def guess(project: Project) -> Needs:
    """Returns the needs of a project.

    Raises:
        ProjectError: No ASGI application was found.
    """
    app, factory = _app(project)
    workers = tuple(_workers(project))
    return Needs(
        name=_name(project),
        version=_version(project),
        app=app,
        factory=factory,
        port=_port(project),
        postgres=_imported(project, _POSTGRES_DRIVERS, "PostgreSQL"),
        migrations=_migrations(project),
        redis=_imported(project, _CACHE_CLIENTS, "a Redis client"),
        queue=Guess("", workers[0].source) if workers else None,
        workers=workers,
        probes=_probes(project),
        variables=tuple(variables(project)),
    )


def _name(project: Project) -> Guess[str]:
    given = project.pyproject.get("project", {}).get("name")
    source = "the project's name in pyproject.toml" if given else "the directory's name"
    text = str(given or project.root.resolve().name).lower()
    name = re.sub(r"[^a-z0-9]+", "-", text).strip("-").lstrip("0123456789-")
    return Guess(name[: naming.NAME_MAX_LENGTH].rstrip("-") or "app", source)


def _version(project: Project) -> Guess[str]:
    given = project.pyproject.get("project", {}).get("version")
    if isinstance(given, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", given):
        return Guess(given, "the version in pyproject.toml")
    return Guess("0.1.0", "no version found")


def _app(project: Project) -> tuple[Guess[str], bool]:
    """Returns the ASGI application, and whether it is a factory function."""
    entrypoint = project.pyproject.get("tool", {}).get("fastapi", {}).get("entrypoint")
    if entrypoint is not None:
        if not re.fullmatch(r"[A-Za-z0-9_.]+:[A-Za-z0-9_.]+", str(entrypoint)):
            raise ProjectError(
                f"{project.root}/pyproject.toml: [tool.fastapi] entrypoint {entrypoint!r} is not "
                "valid; use package.module:app"
            )
        return Guess(entrypoint, "[tool.fastapi] entrypoint in pyproject.toml"), False
    for find, factory in ((_objects, False), (_factories, True)):
        found = sorted(
            ((module, name) for module in project.modules for name in find(module)),
            key=lambda pair: _likelihood(pair[0], pair[1]),
        )
        if found:
            module, name = found[0]
            others = ", ".join(f"{other.name}:{attribute}" for other, attribute in found[1:4])
            source = f"{'a function' if factory else 'the object'} in {module.path}"
            return Guess(
                f"{module.name}:{name}", f"{source}; also {others}" if others else source
            ), factory
    raise ProjectError(
        f"{project.root}: no FastAPI application found; set it in pyproject.toml: "
        '[tool.fastapi] entrypoint = "package.module:app"'
    )


def _objects(module: Module) -> Iterator[str]:
    for name, call in module.assigned_calls():
        if called_name(call) == "FastAPI":
            yield name
    factories = set(_factories(module))
    for name, call in module.assigned_calls():
        if called_name(call) in factories:
            yield name


def _factories(module: Module) -> Iterator[str]:
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef) or node.args.args or node.returns is None:
            continue
        if ast.unparse(node.returns).rpartition(".")[2] == "FastAPI":
            yield node.name


def _likelihood(module: Module, name: str) -> tuple[int, int, int, str]:
    ranks = [rank for rank, usual in enumerate(_USUAL_MODULES) if module.name.endswith(usual)]
    return (
        min(ranks, default=len(_USUAL_MODULES)),
        module.name.count("."),
        name != "app",
        module.name,
    )


def _port(project: Project) -> Guess[int] | None:
    for name in ("Dockerfile", "Procfile"):
        text = project.text(name)
        match = re.search(r"--port[\", =]+([0-9]{4,5})", text) or re.search(
            r"^EXPOSE\s+([0-9]{4,5})", text, re.MULTILINE
        )
        if match:
            return Guess(int(match.group(1)), name)
    for module in project.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "uvicorn.run":
                for keyword in node.keywords:
                    if keyword.arg == "port" and isinstance(keyword.value, ast.Constant):
                        port = keyword.value.value
                        if isinstance(port, int) and 1024 <= port <= 65535:
                            return Guess(port, f"uvicorn.run in {module.path}")
    return None


def _imported(project: Project, packages: tuple[str, ...], label: str) -> Guess[str] | None:
    for package in packages:
        if package.replace("-", "_") in project.imports:
            return Guess(package, f"{label}: {package} is imported")
        if package.replace("_", "-") in project.requirements:
            return Guess(package, f"{label}: {package} is a dependency")
    return None


def _migrations(project: Project) -> Guess[tuple[str, ...]] | None:
    if "alembic.ini" in project.files:
        return Guess(("alembic", "upgrade", "head"), "alembic.ini")
    if "alembic" in project.pyproject.get("tool", {}):
        return Guess(("alembic", "upgrade", "head"), "[tool.alembic] in pyproject.toml")
    for path in sorted(project.root.glob("*/alembic.ini")):
        config = str(path.relative_to(project.root))
        return Guess(("alembic", "-c", config, "upgrade", "head"), config)
    return None


def _workers(project: Project) -> Iterator[Worker]:
    for module in project.modules:
        for name, call in module.assigned_calls():
            if called_name(call) == "Celery":
                target, source = f"{module.name}:{name}", f"Celery in {module.path}"
                yield Worker("worker", ("celery", "-A", target, "worker"), source)
                if "beat_schedule" in ast.unparse(module.tree):
                    source = f"beat_schedule in {module.path}"
                    yield Worker("beat", ("celery", "-A", target, "beat"), source, singleton=True)
                return
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == "WorkerSettings":
                command = ("arq", f"{module.name}.WorkerSettings")
                yield Worker("worker", command, f"WorkerSettings of arq in {module.path}")
                return


def _probes(project: Project) -> Guess[dict[str, str]] | None:
    if _RUNTIME in project.imports:
        return Guess({"source": "Runtime"}, f"{_RUNTIME} is imported")
    for module in project.modules:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for decorator in node.decorator_list:
                path = _get_path(decorator)
                if path in _READY_PATHS:
                    return Guess({"readiness": path}, f"GET {path} in {module.path}")
    return None


def _get_path(decorator: ast.expr) -> str:
    """Returns the path of ``@app.get("/…")``; a router's path has an unknown prefix."""
    if isinstance(decorator, ast.Call) and decorator.args:
        function, first = decorator.func, decorator.args[0]
        if (
            isinstance(function, ast.Attribute)
            and function.attr == "get"
            and ast.unparse(function.value) == "app"
            and isinstance(first, ast.Constant)
        ):
            return str(first.value)
    return ""
