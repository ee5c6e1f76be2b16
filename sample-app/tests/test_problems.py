from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi_operator_runtime import testing

from shop import main, settings

PROBLEM = "application/problem+json"


def is_problem(response: httpx2.Response, status: int) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM
    assert response.json()["status"] == status
    assert response.json()["title"]
    assert response.headers["x-request-id"]


async def test_routing_errors_are_problem_responses(client: httpx2.AsyncClient) -> None:
    is_problem(await client.get("/nowhere"), 404)
    is_problem(await client.delete("/items"), 405)


async def test_a_too_large_body_is_rejected(client: httpx2.AsyncClient) -> None:
    item = {"name": "Lamp", "price_cents": 1, "description": "x" * 70_000}
    declared = await client.post("/items", json=item)
    is_problem(declared, 413)
    assert declared.json()["detail"] == "the request body is larger than 65536 bytes"

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"x" * 1000

    headers = {"Content-Type": "application/json"}
    is_problem(await client.post("/items", content=parts(), headers=headers), 413)


async def test_a_body_declared_too_large_is_rejected_before_the_app_runs(
    app: FastAPI, connect: Any
) -> None:
    ran: list[int] = []

    @app.post("/reads-no-body")
    async def reads_no_body() -> None:
        ran.append(1)

    async with connect(app) as client:
        is_problem(await client.post("/reads-no-body", content=b"x" * 65_537), 413)
        assert ran == []
        assert (await client.post("/reads-no-body", content=b"x" * 65_536)).status_code == 200
        assert ran == [1]


@pytest.mark.parametrize("body", ["{", "[]", "null", '{"name": "\\ud800", "price_cents": 1}'])
async def test_an_invalid_body_returns_422(client: httpx2.AsyncClient, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    is_problem(await client.post("/items", content=body, headers=headers), 422)


async def test_an_unexpected_error_returns_500_without_details(app: FastAPI, connect: Any) -> None:
    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("hunter2")

    async with connect(app) as client:
        response = await client.get("/bug")
        is_problem(response, 500)
        assert "hunter2" not in response.text


async def test_an_unavailable_database_returns_503_until_it_recovers(connect: Any) -> None:
    with testing.PostgresServer() as server:
        app = main.create_app(
            settings.Settings.load(
                {"DATABASE_URL": server.url(), "DATABASE_POOL_TIMEOUT_SECONDS": "1"}
            )
        )
        async with connect(app) as client:
            assert (await client.get("/readyz")).status_code == 200
            server.kill()
            response = await client.get("/users/1")
            is_problem(response, 503)
            assert response.headers["retry-after"] == "1"
            assert (await client.get("/livez")).status_code == 200, "not a reason to restart"
            server.start()
            # The table is missing, which is an error of the app and not of the connection.
            is_problem(await client.get("/users/1"), 500)


async def test_an_exhausted_pool_returns_503(database: str, connect: Any) -> None:
    app = main.create_app(
        settings.Settings.load(
            {
                "DATABASE_URL": database,
                "DATABASE_POOL_SIZE": "1",
                "DATABASE_MAX_OVERFLOW": "0",
                "DATABASE_POOL_TIMEOUT_SECONDS": "0.1",
            }
        )
    )
    async with connect(app) as client:
        async with client.state["engine"].connect():
            response = await client.get("/users/1")
            is_problem(response, 503)
            assert response.json()["detail"] == "no database connection is free"
        assert (await client.get("/users/1")).status_code == 404
