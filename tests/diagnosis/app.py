"""An application with every fault, each on its own path.

Uvicorn runs it in the app's environment. Variables set the random sizes of a fault.
"""

import asyncio
import os
import random
import time

import sqlalchemy
from fastapi import FastAPI
from fastapi_operator_runtime import RuntimeSettings, cache, database, install
from redis.exceptions import RedisError

config = RuntimeSettings.load()
engine = database.create_engine(config)
redis = cache.create_redis(config)
app = FastAPI()
install(app, config)

SECONDS = float(os.environ.get("FAULT_SECONDS", "0"))
SHARE = float(os.environ.get("FAULT_SHARE", "0"))
KEYS = int(os.environ.get("FAULT_KEYS", "50"))
BYTES = int(os.environ.get("FAULT_BYTES", "200"))
TTL_SECONDS = float(os.environ.get("FAULT_TTL_SECONDS", "60"))
PIECE_BYTES = int(os.environ.get("FAULT_PIECE_BYTES", "1048576"))
ROWS = int(os.environ.get("FAULT_ROWS", "1000"))
kept: list[bytearray] = []


async def query(statement: str) -> None:
    """Executes one statement on a connection of the pool."""
    async with engine.connect() as connection:
        await connection.execute(sqlalchemy.text(statement))


async def cached(key: int, load: str) -> str:
    """Reads through the cache naively: each request that misses loads the value itself."""
    name = f"key:{key}"
    try:
        if await redis.get(name) is not None:
            return "hit"
    except RedisError:
        await query(load)
        return "none"
    await query(load)
    await redis.set(name, os.urandom(BYTES), px=int(TTL_SECONDS * 1000))
    return "miss"


@app.get("/items")
async def items() -> dict[str, str]:
    return {"cache": await cached(random.randrange(KEYS), f"SELECT pg_sleep({SECONDS})")}


@app.get("/blocking")
async def blocking() -> dict[str, float]:
    time.sleep(SECONDS)  # noqa: ASYNC251 (the fault)
    return {"seconds": SECONDS}


@app.get("/threads")
def threads() -> dict[str, float]:
    time.sleep(SECONDS)
    return {"seconds": SECONDS}


@app.get("/query")
async def slow_query() -> dict[str, float]:
    await query(f"SELECT pg_sleep({SECONDS})")
    return {"seconds": SECONDS}


@app.get("/compute")
async def compute_in_database() -> dict[str, int]:
    await query(f"SELECT sum(sqrt(n)) FROM generate_series(1, {ROWS}) AS n")
    return {"rows": ROWS}


@app.get("/memory")
async def memory() -> dict[str, int]:
    kept.append(bytearray(os.urandom(PIECE_BYTES)))
    return {"kept": len(kept)}


@app.post("/orders")
async def order() -> dict[str, bool]:
    return {"ordered": True}


@app.get("/failing")
async def failing() -> dict[str, bool]:
    if random.random() < SHARE:
        raise RuntimeError("a fault that no rule knows")
    return {"failed": False}


@app.get("/waiting")
async def waiting() -> dict[str, float]:
    await asyncio.sleep(SECONDS)
    return {"seconds": SECONDS}
