"""`/labs`: the same work done in the right place and in the wrong one.

| work | right | wrong |
| --- | --- | --- |
| waiting for I/O | `await` in `async def` | a blocking call in `async def`: all others wait |
| a blocking library | `def`, which runs in a thread | the same in `async def` |
| much CPU | a process pool | a thread: it alternates with the event loop |
| | | inline: no other task runs |
| keeping results | a limit, as in `lru_cache` | a list that only grows |
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


_kept: list[bytes] = []  # the anti-pattern: it has no limit


class Waited(BaseModel):
    """The requested duration of the work."""

    seconds: float


class Computed(BaseModel):
    """The result of the work, and the place of its execution."""

    digest: str
    where: Literal["inline", "thread", "process"]


class Kept(BaseModel):
    """Memory that a process never releases."""

    mebibytes: int


class Label(BaseModel):
    """A price for people."""

    label: str


@router.get("/async")
async def wait_asynchronously(seconds: Seconds = 0.1) -> Waited:
    """Waiting that yields to the event loop: thousands of requests wait at once."""
    await asyncio.sleep(seconds)
    return Waited(seconds=seconds)


@router.get("/sync")
def wait_in_a_thread(seconds: Seconds = 0.1) -> Waited:
    """A blocking call in `def`: at most THREAD_TOKENS requests wait at once."""
    time.sleep(seconds)
    return Waited(seconds=seconds)


@router.get("/blocking")
async def wait_in_the_loop(seconds: Seconds = 0.1) -> Waited:
    """The anti-pattern: if one request waits, all others wait too. Watch the event-loop lag."""
    time.sleep(seconds)  # noqa: ASYNC251 (the purpose of this endpoint)
    return Waited(seconds=seconds)


@router.get("/compute")
async def compute(
    request: Request,
    where: Literal["inline", "thread", "process"] = "process",
    rounds: Rounds = 200_000,
) -> Computed:
    """CPU work in the loop, in a thread or in another process."""
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
    """A pure function behind `lru_cache`."""
    return Label(label=work.price_label(price_cents, currency))


@router.post("/memory")
def keep(mebibytes: Mebibytes = 16) -> Kept:
    """A leak. Watch the working set and, after the limit, `OOMKilled`."""
    _kept.extend(b"x" * 2**20 for _ in range(mebibytes))
    return Kept(mebibytes=len(_kept))


@router.get("/error")
async def fail() -> None:
    """A bug, to see how it is reported."""
    raise RuntimeError("a bug that was asked for")
