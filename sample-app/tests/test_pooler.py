"""PgBouncer in transaction mode, behind which the whole test suite runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi_operator_runtime import database as runtime_database
from fastapi_operator_runtime import testing
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncEngine

from shop import dependencies, settings

CLIENTS = 10
NAMES = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'PGBOUNCER_%'"


@pytest.fixture
async def make_engine() -> AsyncIterator[Callable[[str], AsyncEngine]]:
    engines = []

    def make(url: str) -> AsyncEngine:
        sizes = {"DATABASE_POOL_SIZE": str(CLIENTS), "DATABASE_MAX_OVERFLOW": "0"}
        config = settings.Settings.load({"DATABASE_URL": url, **sizes})
        engines.append(runtime_database.create_engine(config, observe=False))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.dispose()


async def work(engine: AsyncEngine) -> None:
    """Runs ten concurrent sessions of short transactions with the same prepared statement."""

    async def session(number: int) -> None:
        async with engine.connect() as connection:
            for turn in range(20):
                expected = 100 * number + turn
                doubled = sa.select(sa.literal(expected, sa.BigInteger) * 2)
                assert await connection.scalar(doubled) == 2 * expected
                await connection.commit()

    await asyncio.gather(*(session(number) for number in range(CLIENTS)))


async def test_ten_connections_of_the_app_use_three_of_the_database(
    make_engine: Callable[[str], AsyncEngine],
    database: str,
    pooler: testing.PgBouncerServer,
    postgres: testing.PostgresServer,
) -> None:
    engine = make_engine(database)
    await work(engine)
    name = database.rpartition("/")[2]
    clients = [row for row in pooler.console("SHOW CLIENTS") if row["database"] == name]
    assert len(clients) == CLIENTS
    servers = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    assert int(postgres.execute(servers)) == 3
    async with engine.connect() as connection:
        assert await connection.scalar(sa.text(NAMES)) > 0, "PgBouncer has renamed them"


async def test_the_same_work_fails_if_the_pooler_tracks_no_statements(
    make_engine: Callable[[str], AsyncEngine], database: str, postgres: testing.PostgresServer
) -> None:
    """Shows that the test above can fail."""
    with testing.PgBouncerServer(postgres, prepared_statements=0) as forgetful:
        engine = make_engine(forgetful.url(database.rpartition("/")[2]))
        with pytest.raises(exc.DBAPIError, match="prepared statement"):
            await work(engine)


async def test_a_statement_that_exceeds_the_timeout_of_the_role_returns_503(
    app: FastAPI,
    connect: Callable[[FastAPI], AbstractAsyncContextManager[Any]],
    database: str,
    postgres: testing.PostgresServer,
) -> None:
    """The operator sets the timeout of the role, as the pooler drops session settings."""
    name = database.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET statement_timeout = '200ms'")

    @app.get("/sleeps")
    async def sleeps(session: dependencies.SessionDep) -> None:
        await session.execute(sa.text("SELECT pg_sleep(30)"))

    async with connect(app) as client:
        response = await client.get("/sleeps")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert (await client.get("/users/1")).status_code == 404, "the connection is usable"
