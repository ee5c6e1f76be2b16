from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

import anyio.to_thread
import asgi_lifespan
import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from fastapi_operator_runtime import Options, RuntimeSettings, install, limits, waits


def make(options: Options | None = None, **environment: str) -> tuple[FastAPI, asyncio.Event]:
    app = FastAPI()
    release = asyncio.Event()

    @app.get("/wait")
    async def wait() -> str:
        await release.wait()
        return "done"

    @app.get("/tokens")
    async def tokens() -> float:
        return anyio.to_thread.current_default_thread_limiter().total_tokens

    install(app, RuntimeSettings.load(environment), options=options or Options(logs=False))
    return app, release


def connect(manager: asgi_lifespan.LifespanManager) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=manager.app), base_url="http://test"
    )


async def test_requests_above_the_limit_are_shed_and_the_others_finish() -> None:
    app, release = make(MAX_IN_FLIGHT="3")
    async with asgi_lifespan.LifespanManager(app) as manager, connect(manager) as client:
        running = [asyncio.create_task(client.get("/wait")) for _ in range(3)]
        while app.state.worker.in_flight < 3:  # noqa: ASYNC110 (the worker has no event)
            await asyncio.sleep(0.001)
        shed = await client.get("/wait")
        assert shed.status_code == 503
        assert 1 <= int(shed.headers["retry-after"]) <= 3
        assert shed.headers["content-type"] == "application/problem+json"
        assert shed.json()["status"] == 503
        assert (await client.get("/readyz")).status_code == 200, "probes are never counted"
        release.set()
        assert [response.status_code for response in await asyncio.gather(*running)] == [200] * 3
        assert (await client.get("/wait")).status_code == 200, "places are given back"
        assert app.state.worker.in_flight == 0


async def test_open_streams_do_not_count() -> None:
    """Otherwise, idle browser tabs would shed all requests of an idle process."""
    app, release = make(MAX_IN_FLIGHT="3")

    async def events() -> AsyncIterator[str]:
        await release.wait()
        yield "data: 1\n\n"

    @app.get("/events")
    async def stream() -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    async with asgi_lifespan.LifespanManager(app) as manager, connect(manager) as client:
        tabs = []
        for _ in range(50):
            tabs.append(asyncio.create_task(client.get("/events")))
            await asyncio.sleep(0.01)
        assert not any(tab.done() for tab in tabs)
        assert (await client.get("/tokens")).status_code == 200
        release.set()
        assert {tab.status_code for tab in await asyncio.gather(*tabs)} == {200}
        assert app.state.worker.in_flight == 0


async def test_requests_with_priority_are_shed_last() -> None:
    """Those of the option and of the variable; the path counts without the root path."""
    options = Options(logs=False, priority_paths=["/tokens"])
    app, release = make(options, MAX_IN_FLIGHT="8", PRIORITY_PATHS="/wait/{tab}/paid,/bills")

    @app.get("/wait/{name}/paid")
    async def paid(name: str) -> str:
        await release.wait()
        return name

    app.root_path = "/shop"
    async with asgi_lifespan.LifespanManager(app) as manager, connect(manager) as client:
        running = [asyncio.create_task(client.get("/wait")) for _ in range(8)]
        await asyncio.sleep(0.1)
        assert (await client.get("/wait")).status_code == 503
        assert (await client.get("/shop/tokens")).status_code == 200
        # Half of the limit, and no more.
        running += [asyncio.create_task(client.get("/shop/wait/7/paid")) for _ in range(4)]
        await asyncio.sleep(0.1)
        assert (await client.get("/shop/wait/8/paid")).status_code == 503
        release.set()
        assert {response.status_code for response in await asyncio.gather(*running)} == {200}
        assert (await client.get("/shop/wait/8/paid")).status_code == 200


def test_while_the_limit_decreases_the_reserve_stays() -> None:
    limit = limits.AdaptiveLimit(8, 64)
    waiting(limit, [0.5] * 20, in_flight=64)
    assert limit.value == 8

    def reason(preferred: int, *, priority: bool) -> str | None:
        return limit.reason(64, age=None, priority=priority, now=0, preferred=preferred)

    assert reason(0, priority=False) == reason(32, priority=True) == "limit"
    assert reason(0, priority=True) is reason(31, priority=True) is None


def waiting(limit: limits.AdaptiveLimit, waits: Iterable[float], in_flight: int) -> list[int]:
    """Returns the limit after each window, in which the shortest wait was one of `waits`."""
    values = []
    for wait in waits:
        limit._collect = lambda wait=wait: wait  # type: ignore[misc]
        limit.reason(in_flight, age=None, priority=False, now=limit._window_ends)
        values.append(limit.value)
    return values


def test_the_limit_falls_while_requests_wait_and_recovers() -> None:
    limit = limits.AdaptiveLimit(8, 128)
    assert waiting(limit, [0.0] * 3, in_flight=30) == [128] * 3
    first, *falling = waiting(limit, [0.5] * 13, in_flight=60)
    assert first == 128, "a single stall, for example while pods start beside it, is over"
    assert falling[0] < 60, "far above what is in flight, it would have no effect"
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == 8
    recovering = waiting(limit, [0.01] * 40, in_flight=8)
    assert recovering == sorted(recovering)
    assert recovering[-1] == 128


def test_requests_that_waited_for_a_single_stall_are_served() -> None:
    limit = limits.AdaptiveLimit(8, 64)
    waiting(limit, [0.0], in_flight=1)
    for wait, reason in ((0.6, None), (0.0, None), (0.6, None), (0.6, "queue")):
        limit._collect = lambda wait=wait: wait  # type: ignore[misc]
        now = limit._window_ends
        assert limit.reason(1, age=0.6, priority=False, now=now) == reason


def test_after_an_overload_older_requests_are_admitted_step_by_step() -> None:
    limit = limits.AdaptiveLimit(8, 64)
    waiting(limit, [0.6, 0.6], in_flight=1)
    admitted = []
    for _ in range(20):
        limit._collect = lambda: 0.0  # type: ignore[misc]
        now = limit._window_ends
        admitted.append(limit.reason(1, age=0.6, priority=False, now=now) is None)
    assert not any(admitted[:3])
    assert all(admitted[5:])


def test_a_process_that_rarely_gets_a_cpu_serves_the_youngest_requests() -> None:
    limit = limits.AdaptiveLimit(8, 64)
    limit._collect = lambda: 0.4
    admitted = []
    for _ in range(20):
        now = limit._window_ends
        found = [limit.reason(1, age=age, priority=False, now=now) for age in (0.4, 2.0)]
        admitted.append(found[0] is None)
        assert len(admitted) < 3 or found[1] == "queue"
    assert sum(admitted[3:]) >= 8


def test_a_burst_that_is_served_in_time_does_not_lower_the_limit() -> None:
    waits.collect()
    for seconds in (2.0, 0.5, 0.02):
        waits.report("database", seconds)
    assert waits.collect() == 0.02
    assert waits.collect() == 0.0


def test_the_longest_wait_of_several_sources_counts() -> None:
    waits.collect()
    waits.report("event loop", 0.001)
    waits.report("database", 0.3)
    assert waits.collect() == 0.3


async def test_shed_requests_are_logged_by_sample(capsys: pytest.CaptureFixture[str]) -> None:
    app, release = make(Options(), MAX_IN_FLIGHT="1")
    async with asgi_lifespan.LifespanManager(app) as manager, connect(manager) as client:
        running = asyncio.create_task(client.get("/wait"))
        await asyncio.sleep(0.1)
        shed = [await client.get("/wait") for _ in range(20)]
        release.set()
        await running
    assert {response.status_code for response in shed} == {503}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["http.response.status_code"] for line in lines if "http.route" in line] == [200]
    shedding = [line for line in lines if line["logger"].endswith("limits")]
    assert 1 <= len(shedding) <= 3
    assert shedding[0]["message"] == "requests were shed with 503: 1 by limit; the limit is 1"


async def test_a_failed_request_frees_its_slot() -> None:
    app, _ = make(MAX_IN_FLIGHT="1")

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("bug")

    async with asgi_lifespan.LifespanManager(app) as manager:
        transport = httpx2.ASGITransport(app=manager.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            for _ in range(3):
                assert (await client.get("/fails")).status_code == 500


async def test_without_a_limit_nothing_is_shed() -> None:
    app, release = make()
    async with asgi_lifespan.LifespanManager(app) as manager, connect(manager) as client:
        running = [asyncio.create_task(client.get("/wait")) for _ in range(50)]
        await asyncio.sleep(0.05)
        release.set()
        assert {response.status_code for response in await asyncio.gather(*running)} == {200}


async def test_thread_tokens_take_effect_in_the_running_loop() -> None:
    app, _ = make(THREAD_TOKENS="7")
    async with asgi_lifespan.LifespanManager(app) as manager, connect(manager) as client:
        assert (await client.get("/tokens")).json() == 7


async def test_thread_tokens_can_be_disabled() -> None:
    app, _ = make(Options(logs=False, thread_tokens=False), THREAD_TOKENS="7")
    async with asgi_lifespan.LifespanManager(app) as manager, connect(manager) as client:
        assert (await client.get("/tokens")).json() == 40


async def test_the_limit_can_be_disabled() -> None:
    app, release = make(Options(logs=False, in_flight_limit=False), MAX_IN_FLIGHT="1")
    async with asgi_lifespan.LifespanManager(app) as manager, connect(manager) as client:
        running = [asyncio.create_task(client.get("/wait")) for _ in range(5)]
        await asyncio.sleep(0.05)
        release.set()
        assert {response.status_code for response in await asyncio.gather(*running)} == {200}
