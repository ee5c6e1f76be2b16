"""Resources are closed at shutdown, also if startup fails halfway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from fastapi_operator_runtime import cache as runtime_cache
from redis import asyncio as redis_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from shop import settings, state


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the closed resources, in order."""
    names: list[str] = []

    def record(owner: type, method: str, name: str) -> None:
        close: Callable[..., Awaitable[None]] = getattr(owner, method)

        async def recorded(*arguments: object) -> None:
            names.append(name)
            await close(*arguments)

        monkeypatch.setattr(owner, method, recorded)

    record(AsyncEngine, "dispose", "database")
    record(redis_asyncio.Redis, "aclose", "redis")
    return names


async def test_resources_are_closed_in_reverse_order(
    environment: dict[str, str], closed: list[str]
) -> None:
    async with state.lifespan(settings.Settings.load(environment))(FastAPI()):
        assert closed == []
    assert closed == ["redis", "database"]


async def test_a_failed_startup_closes_all_resources(
    environment: dict[str, str], closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("no sockets left")

    monkeypatch.setattr(runtime_cache, "create_redis", fail)
    with pytest.raises(RuntimeError, match="no sockets left"):
        async with state.lifespan(settings.Settings.load(environment))(FastAPI()):
            pass
    assert closed == ["database"]
