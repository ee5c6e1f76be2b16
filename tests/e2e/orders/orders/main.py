"""The application."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

from orders.tasks import price


class NewOrder(BaseModel):
    item: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    size = int(os.environ["DATABASE_POOL_SIZE"])
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=size) as pool:
        app.state.pool = pool
        app.state.cache = redis.from_url(os.environ["REDIS_URL"])
        yield
        await app.state.cache.aclose()


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=201)
async def create(order: NewOrder, request: Request) -> dict[str, Any]:
    row = await request.app.state.pool.fetchrow(
        "INSERT INTO orders (item) VALUES ($1) RETURNING id", order.item
    )
    price.delay(row["id"])
    return {"id": row["id"]}


@app.get("/orders/{order}")
async def read(order: int, request: Request) -> dict[str, Any]:
    row = await request.app.state.pool.fetchrow("SELECT * FROM orders WHERE id = $1", order)
    if row is None:
        raise HTTPException(404)
    return dict(row)


@app.get("/ticks")
async def ticks(request: Request) -> dict[str, int]:
    return {"count": await request.app.state.pool.fetchval("SELECT count(*) FROM ticks")}


@app.get("/cache")
async def cache(request: Request) -> dict[str, str]:
    """The kind of server that the cache reports."""
    client = request.app.state.cache
    await client.set("greeting", "hello", ex=60)
    info = await client.info("server")
    return {
        "greeting": (await client.get("greeting")).decode(),
        "server": info.get("server_name", "redis"),
    }
