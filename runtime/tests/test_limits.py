from __future__ import annotations

import asyncio

import anyio.to_thread
import asgi_lifespan
import httpx2
from fastapi import FastAPI

from fastapi_operator_runtime import Options, RuntimeSettings, install


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
