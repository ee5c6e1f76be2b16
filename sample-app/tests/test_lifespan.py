"""A process closes the resources that it opened, also if its start fails half-way."""

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
    """The closed resources, in order."""
    names: list[str] = []

    def note(owner: type, method: str, name: str) -> None:
        close: Callable[..., Awaitable[None]] = getattr(owner, method)

        async def noted(*arguments: object) -> None:
            names.append(name)
            await close(*arguments)

        monkeypatch.setattr(owner, method, noted)

    note(AsyncEngine, "dispose", "database")
    note(redis_asyncio.Redis, "aclose", "redis")
    return names


async def test_the_last_opened_resource_is_closed_first(
    environment: dict[str, str], closed: list[str]
) -> None:
    async with state.lifespan(settings.Settings.load(environment))(FastAPI()):
        assert closed == []
    assert closed == ["redis", "database"]


async def test_a_start_that_fails_half_way_leaves_nothing_open(
    environment: dict[str, str], closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("no sockets left")

    monkeypatch.setattr(runtime_cache, "create_redis", fail)
    with pytest.raises(RuntimeError, match="no sockets left"):
        async with state.lifespan(settings.Settings.load(environment))(FastAPI()):
            pass
    assert closed == ["database"]
