"""Transactions whose connection is closed between its check and the first statement.

A real PgBouncer ends there, as in a rollout, and another one is on its port.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from fastapi_operator_runtime import RuntimeSettings, database, testing

SIZE = 4
SHUTDOWNS = 6
REQUESTS = 50
NAME = sa.text("SELECT current_database()")
ISOLATION = sa.text("SHOW transaction_isolation")
READ_ONLY = sa.text("SHOW transaction_read_only")


@pytest.fixture
def replaced(
    postgres: testing.PostgresServer, pooler: testing.PgBouncerServer
) -> Iterator[testing.PgBouncerServer]:
    """A pooler of this test. The other fixture puts the program on PATH."""
    with testing.PgBouncerServer(postgres) as server:
        yield server


@pytest.fixture
async def engine(replaced: testing.PgBouncerServer) -> AsyncIterator[AsyncEngine]:
    created = database.create_engine(_config(replaced.url()), observe=False)
    yield created
    await created.dispose()


def _config(url: str) -> RuntimeSettings:
    variables = {"DATABASE_POOL_SIZE": f"{SIZE}", "DATABASE_MAX_OVERFLOW": "0"}
    return RuntimeSettings.load({"DATABASE_URL": url, **variables})


def replace(pooler: testing.PgBouncerServer) -> None:
    """Ends the pooler with all connections, and starts another one."""
    pooler.kill()
    pooler.start()


async def test_a_statement_after_the_check_finds_another_pooler(
    engine: AsyncEngine, replaced: testing.PgBouncerServer
) -> None:
    async with engine.connect() as connection:
        replace(replaced)
        assert await connection.scalar(NAME) == "postgres"


async def test_a_transaction_that_begins_after_the_check_finds_another_pooler(
    engine: AsyncEngine, replaced: testing.PgBouncerServer
) -> None:
    async with engine.connect() as connection:
        replace(replaced)
        async with connection.begin():
            assert await connection.scalar(NAME) == "postgres"


async def test_the_next_transaction_of_a_session_finds_another_pooler(
    engine: AsyncEngine, replaced: testing.PgBouncerServer
) -> None:
    async with engine.connect() as connection, AsyncSession(connection) as session:
        assert await session.scalar(NAME) == "postgres"
        await session.commit()
        replace(replaced)
        assert await session.scalar(NAME) == "postgres"


async def test_a_transaction_keeps_its_options_on_another_connection(
    engine: AsyncEngine, replaced: testing.PgBouncerServer
) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="SERIALIZABLE", postgresql_readonly=True)
        replace(replaced)
        assert await connection.scalar(ISOLATION) == "serializable"
        assert await connection.scalar(READ_ONLY) == "on"
    async with engine.connect() as connection:
        assert await connection.scalar(ISOLATION) == "read committed"
        assert await connection.scalar(READ_ONLY) == "off"


async def test_statements_of_an_open_transaction_are_not_repeated(
    engine: AsyncEngine, replaced: testing.PgBouncerServer
) -> None:
    async with engine.connect() as connection:
        await connection.scalar(NAME)
        replace(replaced)
        with pytest.raises(exc.DBAPIError) as raised:
            await connection.scalar(NAME)
    assert raised.value.connection_invalidated


async def test_an_error_without_a_database_is_the_one_of_sqlalchemy(
    engine: AsyncEngine, replaced: testing.PgBouncerServer
) -> None:
    async with engine.connect() as connection:
        replaced.kill()
        with pytest.raises((exc.DBAPIError, ConnectionError)):
            await connection.scalar(NAME)


async def test_autocommit_opens_no_transaction(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.scalar(NAME)
        assert not await _is_in_transaction(connection)


async def test_a_cancelled_begin_leaves_no_open_transaction(
    engine: AsyncEngine, replaced: testing.PgBouncerServer
) -> None:
    """Otherwise the next request would write into a transaction that is never committed."""
    async with engine.connect() as connection:
        with replaced.paused():
            begun = asyncio.create_task(_begun(connection))
            await asyncio.sleep(0.1)
            begun.cancel()
            await asyncio.sleep(0.1)
        with pytest.raises(asyncio.CancelledError):
            await begun
    for _ in range(SIZE):
        async with engine.connect() as connection:
            assert not await _is_in_transaction(connection)


async def test_no_request_is_lost_while_poolers_shut_down(
    postgres: testing.PostgresServer, replaced: testing.PgBouncerServer
) -> None:
    """SIGINT closes every connection at the end of its transaction, also at that of the check."""
    with testing.PgBouncerServer(postgres) as other:
        endpoints = [replaced, other]

        async def connect(*_arguments: object, **_options: object) -> asyncpg.Connection:
            """The Service of both poolers."""
            connection: asyncpg.Connection = await asyncpg.connect(endpoints[0].url())
            return connection

        config = _config(replaced.url())
        engine = database.create_engine(config, observe=False, async_creator=connect)
        served = await _serve_while(engine, functools.partial(_shut_down, endpoints))
        await engine.dispose()
    assert served > REQUESTS * (SHUTDOWNS - 1)


async def _serve_while(engine: AsyncEngine, change: Callable[[], Awaitable[None]]) -> int:
    """Makes the change several times while clients use the database; returns their requests."""
    served, stopped = 0, False
    enough = asyncio.Event()

    async def client() -> None:
        nonlocal served
        while not stopped:
            async with engine.connect() as connection:
                await asyncio.sleep(0.002)
                await connection.execute(sa.text("SELECT pg_sleep(0.001)"))
                await connection.commit()
            served += 1
            if served % REQUESTS == 0:
                enough.set()

    async with asyncio.TaskGroup() as clients:
        for _ in range(2 * SIZE):
            clients.create_task(client())
        for _ in range(SHUTDOWNS):
            enough.clear()
            await enough.wait()
            await change()
        stopped = True
    return served


async def _shut_down(endpoints: list[testing.PgBouncerServer]) -> None:
    """Replaces the first pooler, without new connections to it."""
    ending = endpoints.pop(0)
    await asyncio.to_thread(ending.shut_down)
    await asyncio.to_thread(ending.start)
    endpoints.append(ending)


async def _begun(connection: AsyncConnection) -> None:
    async with connection.begin():
        pass


async def _is_in_transaction(connection: AsyncConnection) -> bool:
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert driver is not None
    return bool(driver.is_in_transaction())
