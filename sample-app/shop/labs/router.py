"""`/labs`: the same work done in the right way and in the wrong way.

| work | right | wrong |
| --- | --- | --- |
| waiting for I/O | `await` in `async def` | a blocking call in `async def`: all requests wait |
| a blocking library | `def`, which runs in a thread | a call in `async def` |
| long computations | a process pool | a thread: it competes with the event loop |
| | | in the event loop: no other request is served |
| storing results | a limited size, for example `lru_cache` | a list that only grows |
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from shop.labs import work

router = APIRouter(prefix="/labs", tags=["labs"])

Seconds = Annotated[float, Query(ge=0, le=5)]
Mebibytes = Annotated[int, Query(ge=1, le=64)]
Rounds = Annotated[int, Query(ge=1, le=work.ROUNDS_MAX)]


_kept: list[bytes] = []  # Anti-pattern: its size is not limited.


class Waited(BaseModel):
    """The requested duration of the work."""

    seconds: float


class Computed(BaseModel):
    """The result of the work, and the place in which it ran."""

    digest: str
    where: Literal["inline", "thread", "process"]


class Kept(BaseModel):
    """The memory that the process never frees."""

    mebibytes: int


class Label(BaseModel):
    """A formatted price."""

    label: str


@router.get("/async")
async def wait_asynchronously(seconds: Seconds = 0.1) -> Waited:
    """Wait without blocking the event loop; thousands of requests can wait at the same time."""
    await asyncio.sleep(seconds)
    return Waited(seconds=seconds)


@router.get("/sync")
def wait_in_a_thread(seconds: Seconds = 0.1) -> Waited:
    """Block a thread; as many requests can wait at the same time as there are THREAD_TOKENS."""
    time.sleep(seconds)
    return Waited(seconds=seconds)


@router.get("/blocking")
async def wait_in_the_loop(seconds: Seconds = 0.1) -> Waited:
    """Anti-pattern: block the event loop and thus all requests. Watch the event-loop lag."""
    time.sleep(seconds)  # noqa: ASYNC251 (this endpoint demonstrates it)
    return Waited(seconds=seconds)


@router.get("/compute")
async def compute(
    request: Request,
    where: Literal["inline", "thread", "process"] = "process",
    rounds: Rounds = 200_000,
) -> Computed:
    """Compute in the event loop, in a thread or in another process."""
    if where == "inline":
        result = work.digest(rounds)
    elif where == "thread":
        result = await run_in_threadpool(work.digest, rounds)
    else:
        pool: ProcessPoolExecutor = request.state.processes
        result = await asyncio.get_running_loop().run_in_executor(pool, work.digest, rounds)
    return Computed(digest=result, where=where)


@router.get("/label")
def label(
    price_cents: Annotated[int, Query(ge=0, le=10**9)],
    currency: Annotated[str, Query(pattern="^[A-Z]{3}$")] = "EUR",
) -> Label:
    """Return a formatted price from a pure function with `lru_cache`."""
    return Label(label=work.price_label(price_cents, currency))


@router.post("/memory")
def keep(mebibytes: Mebibytes = 16) -> Kept:
    """Leak memory. Watch the working set and, at the limit, `OOMKilled`."""
    _kept.extend(b"x" * 2**20 for _ in range(mebibytes))
    return Kept(mebibytes=len(_kept))


@router.get("/error")
async def fail() -> None:
    """Raise an error, to see how it is reported."""
    raise RuntimeError("a requested error")
