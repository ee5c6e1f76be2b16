from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from fastapi_operator_runtime import testing

from shop import main, settings
from shop.labs import work


@pytest.fixture
async def labs(environment: dict[str, str], connect: Any) -> AsyncIterator[httpx2.AsyncClient]:
    config = settings.Settings.load({**environment, "LABS": "true", "THREAD_TOKENS": "8"})
    async with connect(main.create_app(config)) as client:
        yield client


async def take(client: httpx2.AsyncClient, path: str, count: int) -> float:
    started_at = time.perf_counter()
    responses = await asyncio.gather(*(client.get(path) for _ in range(count)))
    assert {response.status_code for response in responses} == {200}
    return time.perf_counter() - started_at


async def test_labs_are_disabled_by_default(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/labs/async")).status_code == 404
    assert "/labs/async" not in (await client.get("/openapi.json")).json()["paths"]


async def test_awaits_run_concurrently_and_blocking_calls_do_not(labs: httpx2.AsyncClient) -> None:
    await take(labs, "/labs/async", 1)
    together = await take(labs, "/labs/async?seconds=0.2", 8)
    one_by_one = await take(labs, "/labs/blocking?seconds=0.2", 8)
    assert one_by_one >= 8 * 0.2
    assert together < one_by_one / 2


async def test_def_endpoints_run_in_as_many_threads_as_there_are_tokens(
    labs: httpx2.AsyncClient,
) -> None:
    assert 0.2 <= await take(labs, "/labs/sync?seconds=0.2", 8) < 0.2 * 8 / 2
    assert await take(labs, "/labs/sync?seconds=0.2", 9) >= 0.4, "eight tokens: the ninth waits"


@pytest.mark.parametrize("where", ["inline", "thread", "process"])
async def test_the_result_is_the_same_in_every_place(labs: httpx2.AsyncClient, where: str) -> None:
    response = await labs.get(f"/labs/compute?where={where}&rounds=1000")
    assert response.json() == {"digest": work.digest(1000), "where": where}


async def test_leaked_memory_is_kept(labs: httpx2.AsyncClient) -> None:
    before = (await labs.post("/labs/memory?mebibytes=1")).json()["mebibytes"]
    assert (await labs.post("/labs/memory?mebibytes=2")).json()["mebibytes"] == before + 2
    assert (await labs.post("/labs/memory?mebibytes=65")).status_code == 422


def test_lru_cache_computes_a_price_once() -> None:
    work.price_label.cache_clear()
    assert work.price_label(123456, "EUR") == "1,234.56 EUR"
    assert work.price_label(123456, "EUR") == "1,234.56 EUR"
    assert work.price_label.cache_info().misses == 1


async def test_lru_cache_on_async_def_fails_the_second_caller() -> None:
    @functools.lru_cache
    async def price() -> int:
        return 1

    assert await price() == 1
    with pytest.raises(RuntimeError, match="already awaited"):
        await price()


@pytest.fixture
def served(environment: dict[str, str]) -> Iterator[testing.AppServer]:
    labs = {"LABS": "true"}
    with testing.AppServer("shop.main:app", environment={**environment, **labs}) as server:
        yield server


def test_work_in_a_process_does_not_block_the_event_loop_and_inline_does(
    served: testing.AppServer,
) -> None:
    """Measures, with a real server, the longest response time of a probe during the work."""
    httpx2.get(f"{served.url}/labs/compute?where=process&rounds=1", timeout=30)

    def longest_probe(where: str) -> float:
        address = f"{served.url}/labs/compute?where={where}&rounds=600000"
        with concurrent.futures.ThreadPoolExecutor() as pool, httpx2.Client() as client:
            client.get(f"{served.url}/livez")
            working = pool.submit(httpx2.get, address, timeout=60)
            longest = 0.0
            while not working.done():
                started_at = time.perf_counter()
                client.get(f"{served.url}/livez", timeout=60)
                longest = max(longest, time.perf_counter() - started_at)
            assert working.result().status_code == 200
        return longest

    assert longest_probe("process") < longest_probe("inline") / 2
