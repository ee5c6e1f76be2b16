"""Kinds of work, one route each.

With the runtime, so that the tuned numbers take effect, unless the variable RUNTIME is off:
then the app is one that does not know the operator.
"""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi_operator_runtime import RuntimeSettings, database, install
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

HAS_RUNTIME = os.environ.get("RUNTIME") != "off"
_COUNT = itertools.count()
_QUERY = text("SELECT n, md5(n::text) FROM generate_series(1, :rows) AS n")


class Row(BaseModel):
    number: int
    name: str
    price: float
    tags: list[str]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if HAS_RUNTIME:
        app.state.engine = database.create_engine(RuntimeSettings.load())
    else:
        url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:")
        app.state.engine = create_async_engine(url, connect_args={"statement_cache_size": 0})
    yield
    await app.state.engine.dispose()


app = FastAPI(lifespan=lifespan)
if HAS_RUNTIME:
    install(app)


@app.get("/awaiting")
async def awaiting() -> dict[str, str]:
    """Waits for I/O, as a call of another service does."""
    await asyncio.sleep(0.02)
    return {"status": "ok"}


@app.get("/json")
async def json(rows: int = 100) -> list[Row]:
    """Computes: validates and serialises objects."""
    return [
        Row(number=number, name=f"item {number}", price=number / 7, tags=["a", "b", "c"])
        for number in range(rows)
    ]


@app.get("/database")
async def from_database(request: Request, rows: int = 20) -> dict[str, int]:
    """One query, through the pooler."""
    async with request.app.state.engine.connect() as connection:
        return {"rows": len((await connection.execute(_QUERY, {"rows": rows})).all())}


@app.get("/blocking")
def blocking() -> dict[str, str]:
    """A library that blocks, in the thread pool."""
    time.sleep(0.02)
    return {"status": "ok"}


@app.get("/mixed")
async def mixed() -> dict[str, str]:
    """Waits half a second in one of ten requests."""
    if next(_COUNT) % 10 == 0:
        await asyncio.sleep(0.5)
    return {"status": "ok"}


@app.get("/events")
async def events() -> StreamingResponse:
    """Sends an event, and no other one for an hour."""

    async def stream() -> AsyncIterator[str]:
        yield "data: first\n\n"
        await asyncio.sleep(3600)

    return StreamingResponse(stream(), media_type="text/event-stream")
