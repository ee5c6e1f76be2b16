from __future__ import annotations

import contextlib
import itertools
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import asgi_lifespan
import httpx2
import pytest
import sqlalchemy as sa
import structlog
from fastapi import FastAPI
from fastapi_operator_runtime import testing
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from shop import main, settings

ROOT = Path(__file__).parent.parent
TEMPLATE = "migrated"

ADA = {"name": "Ada", "email": "ada@example.com", "password": "correct horse"}
LAMP = {"name": "Lamp", "description": "It glows.", "price_cents": 1990}

Connect = Callable[[FastAPI], AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def alembic(url: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Alembic as the migration Job does: in the directory of alembic.ini."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def run_alembic() -> Callable[..., subprocess.CompletedProcess[str]]:
    return alembic


@pytest.fixture(scope="session")
def postgres() -> Iterator[testing.PostgresServer]:
    with testing.PostgresServer() as server:
        done = alembic(server.create_database(TEMPLATE), "upgrade", "head")
        assert done.returncode == 0, done.stderr
        yield server


@pytest.fixture(scope="session")
def pooler(postgres: testing.PostgresServer) -> Iterator[testing.PgBouncerServer]:
    """The pooler between app and database, with fewer connections than the app's pool."""
    # The one of the images, if the installed version does not track prepared statements.
    try:
        testing.find_pgbouncer()
    except testing.MissingProgram:
        unpack = [sys.executable, "-m", "tests.cluster", "pgbouncer"]
        folder = subprocess.check_output(unpack, cwd=ROOT.parent, text=True).strip()
        os.environ["PATH"] = os.pathsep.join([folder, os.environ["PATH"]])
    with testing.PgBouncerServer(postgres) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[testing.RedisServer]:
    with testing.RedisServer() as server:
        yield server


_numbers = itertools.count(1)


@pytest.fixture
def database(postgres: testing.PostgresServer, pooler: testing.PgBouncerServer) -> Iterator[str]:
    """The URL, through the pooler, of a migrated and empty database for this test."""
    name = f"shop{next(_numbers)}"
    postgres.create_database(name, template=TEMPLATE)
    yield pooler.url(name)
    postgres.drop_database(name)


@pytest.fixture
def environment(database: str, redis_server: testing.RedisServer) -> dict[str, str]:
    """The variables that the operator sets. Each test has its own, empty Redis database."""
    number = next(_numbers) % 14  # 14 and 15 belong to the module-wide servers
    url = redis_server.url.removesuffix("/0") + f"/{number}"
    subprocess.run(["redis-cli", "-u", url, "flushdb"], check=True, capture_output=True)
    # Long, for busy machines; tests of failures set a short timeout themselves.
    return {"DATABASE_URL": database, "REDIS_URL": url, "REDIS_TIMEOUT_SECONDS": "10"}


@pytest.fixture
def app(environment: dict[str, str]) -> FastAPI:
    return main.create_app(settings.Settings.load(environment))


@pytest.fixture(scope="session")
def connect() -> Connect:
    """A client of a started application that gets responses with 500 instead of exceptions."""

    @contextlib.asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
        async with asgi_lifespan.LifespanManager(app) as manager:
            transport = httpx2.ASGITransport(app=manager.app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
                client.state = manager._state  # type: ignore[attr-defined]
                yield client

    return run


@pytest.fixture
async def client(app: FastAPI, connect: Connect) -> AsyncIterator[httpx2.AsyncClient]:
    async with connect(app) as connected:
        yield connected


@pytest.fixture
async def user(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Creates a user; the client is signed in as this user afterwards."""
    response = await client.post("/users", json=ADA)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    token = await client.post("/tokens", json={k: ADA[k] for k in ("email", "password")})
    assert token.status_code == 201, token.text
    client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
    return found


@pytest.fixture
async def item(client: httpx2.AsyncClient) -> dict[str, Any]:
    response = await client.post("/items", json=LAMP)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.fixture
def statements(client: httpx2.AsyncClient) -> Iterator[list[str]]:
    """The SQL statements that the application sends during the test."""
    seen: list[str] = []
    engine: AsyncEngine = client.state["engine"]  # type: ignore[attr-defined]

    def record(_connection: sa.Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(" ".join(statement.split()))

    event.listen(engine.sync_engine, "before_cursor_execute", record)
    yield seen
    event.remove(engine.sync_engine, "before_cursor_execute", record)
