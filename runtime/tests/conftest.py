from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from fastapi_operator_runtime import settings, testing

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACT = [name.upper() for name in settings.RuntimeSettings.model_fields]


@pytest.fixture(autouse=True)
def _no_contract_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CONTRACT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres() -> Iterator[testing.PostgresServer]:
    with testing.PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def pooler(postgres: testing.PostgresServer) -> Iterator[testing.PgBouncerServer]:
    """From the images, if the machine has none that tracks prepared statements."""
    try:
        testing.find_pgbouncer()
    except testing.MissingProgram:
        unpack = [sys.executable, "-m", "tests.cluster", "pgbouncer"]
        folder = subprocess.check_output(unpack, cwd=REPOSITORY, text=True).strip()
        os.environ["PATH"] = os.pathsep.join([folder, os.environ["PATH"]])
    with testing.PgBouncerServer(postgres) as server:
        yield server


@pytest.fixture
def redis_server() -> Iterator[testing.RedisServer]:
    with testing.RedisServer() as server:
        yield server


@pytest.fixture
def app_directory() -> Path:
    """The directory of the application for tests through a real server."""
    return Path(__file__).parent


@pytest.fixture(autouse=True, scope="session")
def _proxies_off() -> None:
    """All servers here are local."""
    os.environ["NO_PROXY"] = "127.0.0.1"
