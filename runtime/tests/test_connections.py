"""Drivers connect with the variables that the operator sets, with any password.

The variables are those of a golden case, as Kubernetes expands them. The user and the password of
an external database have every character that is special in a URL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy
import yaml
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_operator_runtime import database, settings, testing
from fastapi_operator_runtime.testing.postgres import psql

GOLDEN = Path(__file__).resolve().parents[2] / "tests/golden"
USER = "shop@team:a"
PASSWORD = "p@ss:w/rd%#?&=+ %40'\"ü"
ASK = "SELECT current_user"


@pytest.fixture(scope="module")
def role(postgres: testing.PostgresServer) -> Iterator[None]:
    """The role of the user's Secret."""
    password = PASSWORD.replace("'", "''")
    postgres.execute(f"CREATE ROLE \"{USER}\" LOGIN PASSWORD '{password}'")
    yield
    postgres.execute(f'DROP ROLE "{USER}"')


@pytest.fixture(params=["app", "migrate"])
def environment(
    request: pytest.FixtureRequest, postgres: testing.PostgresServer, role: None
) -> dict[str, str]:
    """The environment of a container that connects to an external database."""
    secret = {
        "host": "127.0.0.1",
        "dbname": "postgres",
        "username": USER,
        "password": PASSWORD,
    }
    found: dict[str, str] = {}
    for entry in _variables("database-direct", request.param):
        source = entry.get("valueFrom", {}).get("secretKeyRef")
        text = secret[source["key"]] if source else str(entry["value"])
        # The server of the tests has another port, and no certificate.
        text = text.replace(":5432", f":{postgres.port}").replace("verify-full", "disable")
        for name, value in found.items():
            text = text.replace(f"$({name})", value)
        found[entry["name"]] = text
    return found


def _variables(case: str, container: str) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all((GOLDEN / case / "expected.yaml").read_text())
    for document in documents:
        pod = document.get("spec", {}).get("template", {}).get("spec", {})
        for found in pod.get("containers", ()):
            if found["name"] == container:
                return [item for item in found["env"] if "absent" not in item]
    raise AssertionError(f"{case} has no container {container}")


@pytest.fixture(autouse=True)
def _environment(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_the_url_has_no_credentials(environment: dict[str, str]) -> None:
    assert re.fullmatch(r"postgresql://127[.]0[.]0[.]1:\d+/postgres", os.environ["DATABASE_URL"])
    assert environment["PGPASSWORD"] == PASSWORD


async def test_asyncpg_connects() -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        assert await connection.fetchval(ASK) == USER
    finally:
        await connection.close()


async def test_sqlalchemy_connects_with_a_driver_in_the_scheme() -> None:
    url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:")
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            assert await connection.scalar(sqlalchemy.text(ASK)) == USER
    finally:
        await engine.dispose()


async def test_the_engine_of_the_runtime_connects() -> None:
    engine = database.create_engine(settings.RuntimeSettings.load(), observe=False)
    try:
        async with engine.connect() as connection:
            assert await connection.scalar(sqlalchemy.text(ASK)) == USER
    finally:
        await engine.dispose()


async def test_drivers_understand_the_options_for_tls_of_a_direct_url() -> None:
    url = os.environ["DATABASE_URL"]
    connection = await asyncpg.connect(f"{url}?sslmode=disable")
    await connection.close()
    assert psql(f"{url}?sslmode=disable", "-t", "-c", ASK) == USER
    engine = create_async_engine(f"{url.replace(':', '+asyncpg:', 1)}?ssl=disable")
    async with engine.connect() as connected:
        assert await connected.scalar(sqlalchemy.text(ASK)) == USER
    await engine.dispose()


def test_libpq_connects() -> None:
    # psycopg and psycopg2 pass the URL to the same library.
    assert psql(os.environ["DATABASE_URL"], "-t", "-c", ASK) == USER


async def test_an_app_that_builds_its_url_of_parts_connects() -> None:
    url = sqlalchemy.URL.create(
        "postgresql+asyncpg",
        username=os.environ["DATABASE_USERNAME"],
        password=os.environ["DATABASE_PASSWORD"],
        host=os.environ["DATABASE_HOST"],
        port=int(os.environ["DATABASE_URL"].rpartition(":")[2].partition("/")[0]),
        database=os.environ["DATABASE_NAME"],
    )
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            assert await connection.scalar(sqlalchemy.text(ASK)) == USER
    finally:
        await engine.dispose()
