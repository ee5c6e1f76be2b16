"""An app with names of its own, as people have them: SQLAlchemy on asyncpg, and LISTEN beside it.

It does not know the operator. ``python3 -m named`` is its migration.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI
from pydantic_settings import BaseSettings
from redis.asyncio import Redis
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine

LOCK = 42


class Settings(BaseSettings):
    POSTGRES_SERVER: str
    POSTGRES_PORT: int
    POSTGRES_DB: str
    POSTGRES_USER: str
    POSTGRES_PASSWORD: str
    DB_URI: str
    LISTEN_URI: str
    MAX_CONNECTION_COUNT: int
    CACHE_HOST: str
    CACHE_PASSWORD: str


settings = Settings()
engine = create_async_engine(settings.DB_URI, pool_size=settings.MAX_CONNECTION_COUNT)


@asynccontextmanager
async def direct() -> AsyncIterator[asyncpg.Connection]:
    """A connection that belongs to one client until it is closed."""
    connection = await asyncpg.connect(settings.LISTEN_URI)
    try:
        yield connection
    finally:
        await connection.close()


async def ask(statement: str, **parameters: Any) -> Any:
    async with engine.begin() as connection:
        return await connection.scalar(text(statement), parameters)


app = FastAPI()


@app.get("/names")
async def names() -> dict[str, Any]:
    """Who the app is, by its URL, by its parts and directly, and who owns its table."""
    parts = create_async_engine(
        URL.create(
            "postgresql+asyncpg",
            username=settings.POSTGRES_USER,
            password=settings.POSTGRES_PASSWORD,
            host=settings.POSTGRES_SERVER,
            port=settings.POSTGRES_PORT,
            database=settings.POSTGRES_DB,
        )
    )
    async with parts.connect() as connection:
        by_parts = await connection.scalar(text("SELECT current_user"))
    await parts.dispose()
    async with direct() as connection:
        directly = await connection.fetchval("SELECT current_user")
    return {
        "server": settings.POSTGRES_SERVER,
        "url": await ask("SELECT current_user"),
        "parts": by_parts,
        "direct": directly,
        "owner": await ask("SELECT tableowner FROM pg_tables WHERE tablename = 'runs'"),
        "migration": await ask("SELECT name FROM runs"),
    }


@app.get("/cache")
async def cache() -> dict[str, bool]:
    """As a client that knows only host and password."""
    async with Redis(host=settings.CACHE_HOST, password=settings.CACHE_PASSWORD) as client:
        return {"pong": await client.ping()}


@app.get("/listen")
async def listen() -> dict[str, Any]:
    """What a direct connection hears of a NOTIFY through the pooler."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with direct() as connection:
        await connection.add_listener("news", lambda *message: heard.put_nowait(message[-1]))
        await ask("SELECT pg_notify('news', 'hello')")
        return {"heard": await asyncio.wait_for(heard.get(), 5)}


@app.get("/lock")
async def lock() -> dict[str, Any]:
    """Whether a session holds its lock over transactions, against another session."""
    async with direct() as holder, direct() as other:
        taken = await holder.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)
        async with holder.transaction():
            await holder.execute("SELECT 1")
        refused = not await other.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)
        released = await holder.fetchval("SELECT pg_advisory_unlock($1)", LOCK)
        return {"taken": taken, "refused": refused, "released": released}


async def migrate() -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS runs (name text)"))
        await connection.execute(
            text("INSERT INTO runs VALUES (:name)"), {"name": settings.POSTGRES_USER}
        )
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(migrate())
