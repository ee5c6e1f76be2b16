from __future__ import annotations

import asyncio

import prometheus_client
import pytest
import sqlalchemy as sa

from fastapi_operator_runtime import (
    RuntimeSettings,
    SettingsError,
    batches,
    database,
    metrics,
    testing,
)


def config(url: str, **environment: str) -> RuntimeSettings:
    return RuntimeSettings.load({"DATABASE_URL": url, **environment})


def sample(name: str, **labels: str) -> float:
    labels[metrics.POOL_LABEL] = database.POOL_NAME
    batches.flush()
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_the_pool_has_the_sizes_of_the_contract(postgres: testing.PostgresServer) -> None:
    engine = database.create_engine(
        config(
            postgres.url(),
            DATABASE_POOL_SIZE="2",
            DATABASE_MAX_OVERFLOW="1",
            # Includes the time of a new connection.
            DATABASE_POOL_TIMEOUT_SECONDS="1",
        )
    )
    held = [await engine.connect() for _ in range(3)]
    timeouts = sample("db_client_connection_timeouts_total")
    with pytest.raises(database.Saturated):
        await engine.connect()
    assert sample("db_client_connection_timeouts_total") == timeouts + 1
    assert sample("db_client_connection_pending_requests") == 0
    for connection in held:
        await connection.close()
    engine.pool.sample(metrics.instruments())  # type: ignore[attr-defined]
    assert sample("db_client_connection_max") == 3
    assert sample("db_client_connection_count", db_client_connection_state="idle") == 2
    await engine.dispose()


async def test_the_database_sees_service_and_pod(postgres: testing.PostgresServer) -> None:
    engine = database.create_engine(
        config(postgres.url(), OTEL_SERVICE_NAME="shop", HOSTNAME="shop-7d9f-x2x4z")
    )
    async with engine.connect() as connection:
        name = await connection.scalar(sa.text("SHOW application_name"))
    assert name == "shop/shop-7d9f-x2x4z"
    await engine.dispose()


async def test_wait_and_use_time_are_measured(postgres: testing.PostgresServer) -> None:
    engine = database.create_engine(
        config(postgres.url(), DATABASE_POOL_SIZE="1", DATABASE_MAX_OVERFLOW="0")
    )
    waited = sample("db_client_connection_wait_time_seconds_sum")
    used = sample("db_client_connection_use_time_seconds_sum")

    async def hold() -> None:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT pg_sleep(0.2)"))

    await asyncio.gather(hold(), hold())
    assert sample("db_client_connection_wait_time_seconds_sum") - waited >= 0.2
    assert sample("db_client_connection_use_time_seconds_sum") - used >= 0.4
    await engine.dispose()


async def test_the_next_request_succeeds_after_a_restart_of_the_database() -> None:
    with testing.PostgresServer() as server:
        engine = database.create_engine(config(server.url()))
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        server.kill()
        server.start()
        async with engine.connect() as connection:
            assert await connection.scalar(sa.text("SELECT 1")) == 1
        await engine.dispose()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_libpq_urls_are_supported(scheme: str, postgres: testing.PostgresServer) -> None:
    url = postgres.url().replace("postgresql", scheme, 1)
    engine = database.create_engine(
        config(url + "?sslmode=disable&connect_timeout=3&application_name=other")
    )
    async with engine.connect() as connection:
        assert await connection.scalar(sa.text("SELECT 1")) == 1
    await engine.dispose()


def test_an_engine_without_a_url_names_the_variable_to_set() -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL is not set"):
        database.create_engine(RuntimeSettings.load({}))


async def test_a_connection_sets_only_the_application_name() -> None:
    options = database.engine_options(config("postgresql://app@pooler/shop"))
    assert set(options["connect_args"]["server_settings"]) == {"application_name"}
