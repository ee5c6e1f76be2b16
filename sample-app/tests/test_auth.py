from __future__ import annotations

import statistics
import time
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi_operator_runtime import testing

from shop.auth.dependencies import CurrentUserDep
from shop.dependencies import SessionDep

ADA = {"email": "ada@example.com", "password": "correct horse"}


async def test_a_token_identifies_its_owner(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    assert (await client.get("/users/me")).json() == user


@pytest.mark.parametrize("header", [None, "Bearer unknown", "Basic YTpi", "Bearer"])
async def test_a_request_without_a_valid_token_returns_401(
    client: httpx2.AsyncClient, header: str | None
) -> None:
    headers = {"Authorization": header} if header else {}
    response = await client.get("/users/me", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"email": "eve@example.com"}])
async def test_a_failed_sign_in_does_not_reveal_the_wrong_field(
    client: httpx2.AsyncClient, user: dict[str, Any], wrong: dict[str, str]
) -> None:
    response = await client.post("/tokens", json={**ADA, **wrong})
    assert response.status_code == 401
    assert response.json()["detail"] == "e-mail address or password is wrong"


async def test_an_unknown_address_takes_as_long_as_a_wrong_password(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    async def seconds(wrong: dict[str, str]) -> float:
        started_at = time.perf_counter()
        await client.post("/tokens", json={**ADA, **wrong})
        return time.perf_counter() - started_at

    await seconds({"email": "eve@example.com"})
    unknown = statistics.median([await seconds({"email": "eve@example.com"}) for _ in range(5)])
    wrong = statistics.median([await seconds({"password": "wrong"}) for _ in range(5)])
    assert 0.3 < unknown / wrong < 3


async def test_an_expired_token_is_rejected(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    postgres: testing.PostgresServer,
    database: str,
) -> None:
    postgres.execute("UPDATE tokens SET expires_at = now()", database.rpartition("/")[2])
    assert (await client.get("/users/me")).status_code == 401


async def test_the_database_contains_no_token_in_plain_text(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    postgres: testing.PostgresServer,
    database: str,
) -> None:
    token = client.headers["authorization"].removeprefix("Bearer ")
    rows = postgres.execute("SELECT digest, tokens::text FROM tokens", database.rpartition("/")[2])
    assert rows
    assert token not in rows


async def test_a_dependency_used_twice_is_resolved_once(
    app: FastAPI, client: httpx2.AsyncClient, user: dict[str, Any], statements: list[str]
) -> None:
    @app.get("/twice")
    async def twice(
        first: CurrentUserDep, second: CurrentUserDep, session: SessionDep, other: SessionDep
    ) -> list[bool]:
        return [first is second, session is other]

    assert (await client.get("/twice")).json() == [True, True]
    assert len(statements) == 1
