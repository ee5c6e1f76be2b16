"""The stores that a project uses."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi_operator.project import syntax
from fastapi_operator.project.guess import Guess
from fastapi_operator.project.source import Module, Project
from fastapi_operator.project.tables import Migration

_POSTGRES_DRIVERS = ("asyncpg", "psycopg", "psycopg2", "psycopg2-binary", "aiopg", "pg8000")
_CACHE_CLIENTS = ("redis", "coredis", "aioredis", "aiocache", "fastapi_cache", "cashews")
# Stores that the operator does not run: a package of each, and its name.
_OTHER_STORES = {
    "motor": "MongoDB",
    "pymongo": "MongoDB",
    "beanie": "MongoDB",
    "mongoengine": "MongoDB",
    "aiomysql": "MySQL",
    "asyncmy": "MySQL",
    "pymysql": "MySQL",
    "elasticsearch": "Elasticsearch",
    "aiokafka": "Kafka",
    "sqlite3": "SQLite",
    "aiosqlite": "SQLite",
    "aio_pika": "RabbitMQ",
    "taskiq_aio_pika": "RabbitMQ",
    "pika": "RabbitMQ",
}
_OTHER_SCHEMES = {"sqlite": "SQLite", "mysql": "MySQL", "amqp": "RabbitMQ", "pyamqp": "RabbitMQ"}
_DATABASES = ("MySQL", "MongoDB", "SQLite")
ORMS = ("sqlalchemy", "sqlmodel")
# Libraries that LISTEN, which a transaction pooler cannot pass on.
_LISTENERS = ("procrastinate", "pgqueuer", "asyncpg_listen", "psycopg_listen")
_LISTENS = re.compile(r"\bLISTEN\s+[\w\"]+|pg_(try_)?advisory_lock\b")
# Functions that make a URL, or replace the scheme of one.
_MAKES_URL = ("replace", "sub", "build", "create", "set", "removeprefix")
_URL = re.compile(r"(postgres(ql)?|sqlite|mysql|(py)?amqps?)(\+\w+)?(://|$)")


@dataclass(frozen=True)
class Database:
    """PostgreSQL.

    Attributes:
        source: The sign of it.
        driver: Driver in the scheme of the URL, for example ``asyncpg``; empty for none.
        direct: Why the app needs connections past the pooler; empty if it does not.
        is_tortoise: Whether the URL is for Tortoise ORM, which has a scheme of its own.
    """

    source: str
    driver: str = ""
    direct: str = ""
    is_tortoise: bool = False


def database(project: Project, migration: Migration | None) -> Database | None:
    """Returns the database of a project; None if it uses no PostgreSQL."""
    driver = _in_use(project, _POSTGRES_DRIVERS)
    named = next((module for module in project.modules if _has_url(module, "postgres")), None)
    if driver is not None:
        source = f"PostgreSQL: {driver[1]}"
    elif named is not None:
        source = f"a postgresql URL in {named.path}"
    elif migration is not None and not any(
        store in _DATABASES for store, _ in other_stores(project)
    ):
        source = migration.source
    else:
        return None
    return Database(source, _scheme_driver(project), _direct(project), project.uses("tortoise"))


def cache(project: Project) -> Guess[str] | None:
    """Returns the client of Redis that a project uses."""
    found = _in_use(project, _CACHE_CLIENTS)
    return Guess(found[0], f"a Redis client: {found[1]}") if found else None


def other_stores(project: Project) -> Iterator[tuple[str, str]]:
    """Yields each store that the operator does not run, with the sign of it."""
    seen = set()
    for package, store in _OTHER_STORES.items():
        if project.uses(package) and store not in seen:
            seen.add(store)
            yield store, f"{package} is in use"
    for module in project.code:
        for scheme, store in _OTHER_SCHEMES.items():
            # A default for another database of an app that can use several.
            if store in _DATABASES and project.uses(*_POSTGRES_DRIVERS):
                continue
            if store not in seen and _has_url(module, scheme):
                seen.add(store)
                yield store, f"a URL in {module.path}"


def sockets(project: Project) -> Module | None:
    """Returns the first module with a route for WebSockets."""
    names = ("websocket", "websocket_route", "add_websocket_route")
    for module in project.code:
        if any(syntax.last_name(call) in names for call in syntax.calls(module.tree)):
            return module
    return None


def _in_use(project: Project, packages: tuple[str, ...]) -> tuple[str, str] | None:
    """Returns the first of some packages that is in use, and the sign of it."""
    for package in packages:
        if package.replace("-", "_") in project.packages:
            return package, f"{package} is imported"
        if package.replace("_", "-") in project.requirements:
            return package, f"{package} is a dependency"
    return None


def _has_url(module: Module, scheme: str) -> bool:
    return any(text.startswith(scheme) and _URL.match(text) for text in syntax.texts(module.tree))


def _scheme_driver(project: Project) -> str:
    """Returns the driver that SQLAlchemy reads from the URL, unless the code adds it itself."""
    if not project.uses(*ORMS) or any(_adds_driver(module) for module in project.modules):
        return ""
    is_async = any(
        syntax.last_name(call) in ("create_async_engine", "async_engine_from_config", "AsyncEngine")
        for module in project.modules
        for call in syntax.calls(module.tree)
    )
    if is_async and project.uses("asyncpg"):
        return "asyncpg"
    # Without a driver, SQLAlchemy 2.0 takes psycopg2 and 2.1 takes psycopg. asyncpg itself refuses
    # a URL with one.
    sync = [name for name in ("psycopg", "psycopg2") if project.uses(name, f"{name}-binary")]
    return sync[0] if len(sync) == 1 and not project.uses("asyncpg") else ""


def _adds_driver(module: Module) -> bool:
    """Whether a module makes a URL with a driver, by parts or by replacing the scheme."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.JoinedStr) and any(
            "postgresql+" in part for part in syntax.texts(node)
        ):
            return True
        is_made = isinstance(node, ast.Call) and syntax.last_name(node) in _MAKES_URL
        if is_made and any(text.startswith("postgresql+") for text in syntax.texts(node)):
            return True
    return False


def _direct(project: Project) -> str:
    for package in _LISTENERS:
        if project.uses(package):
            return f"{package} listens for jobs"
    for module in project.code:
        if any(_LISTENS.search(text) for text in syntax.texts(module.tree)):
            return f"LISTEN or a session lock in {module.path}"
        if any(syntax.last_name(call) == "add_listener" for call in syntax.calls(module.tree)):
            return f"add_listener in {module.path}"
    return ""
