from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asgi_lifespan
import httpx2
import pytest
from fastapi import FastAPI, HTTPException, Request
from starlette.middleware.trustedhost import TrustedHostMiddleware

from fastapi_operator_runtime import Options, RuntimeSettings, install

QUIET = Options(logs=False)


async def client_of(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        asgi_lifespan.LifespanManager(app) as manager,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=manager.app), base_url="http://test"
        ) as client,
    ):
        yield client


def make(checks: dict[str, Callable[[], Awaitable[object]]] | None = None) -> FastAPI:
    app = FastAPI()
    install(app, RuntimeSettings.load({}), options=QUIET, checks=checks)
    return app


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
async def test_a_started_process_responds_to_every_probe(path: str) -> None:
    async for client in client_of(make()):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert (await client.head(path)).status_code == 200
        assert (await client.post(path)).status_code == 405


async def test_a_draining_process_is_live_but_not_ready() -> None:
    app = make()
    async for client in client_of(app):
        app.state.worker.draining = True
        assert (await client.get("/livez")).status_code == 200
        response = await client.get("/readyz")
        assert response.status_code == 503
        assert response.json() == {"status": "draining"}


async def test_a_process_that_has_not_started_is_live_but_neither_started_nor_ready() -> None:
    transport = httpx2.ASGITransport(app=make())
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/startupz")).status_code == 503
        assert (await client.get("/readyz")).status_code == 503


async def test_a_failed_check_is_reported_and_affects_only_readiness() -> None:
    async def database() -> None:
        raise ConnectionRefusedError

    async for client in client_of(make({"database": database})):
        response = await client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["failed"] == {"database": "ConnectionRefusedError"}
        assert (await client.get("/livez")).status_code == 200


async def test_a_hanging_check_times_out() -> None:
    async def hangs() -> None:
        await asyncio.sleep(60)

    async for client in client_of(make({"hangs": hangs})):
        response = await client.get("/readyz")
        assert response.json()["failed"] == {"hangs": "no response within 1 s"}


async def test_concurrent_probes_check_a_dependency_once() -> None:
    calls = 0

    async def counted() -> None:
        nonlocal calls
        calls += 1

    async for client in client_of(make({"counted": counted})):
        await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
        assert calls == 1


async def test_probes_are_handled_before_host_checks_and_logins() -> None:
    app = FastAPI()

    async def login(_request: Request) -> None:
        raise HTTPException(401)

    install(app, RuntimeSettings.load({}), options=QUIET)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["shop.example.com"])
    async for client in client_of(app):
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/else")).status_code == 400


async def test_health_can_be_disabled() -> None:
    app = FastAPI()
    install(app, RuntimeSettings.load({}), options=Options(logs=False, health=False))
    async for client in client_of(app):
        assert (await client.get("/livez")).status_code == 404
