from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2
import pytest
from fastapi_operator_runtime import testing

from shop import passwords

ADA = {"name": "Ada", "email": "ada@example.com", "password": "correct horse"}


async def test_a_sign_up_returns_201_without_the_password(client: httpx2.AsyncClient) -> None:
    response = await client.post("/users", json=ADA)
    assert response.status_code == 201
    body = response.json()
    assert set(body) == {"id", "name", "email", "created_at"}
    assert "correct horse" not in response.text
    read = await client.get(response.headers["location"])
    assert read.json() == body


async def test_the_password_is_stored_as_an_argon2id_hash(
    client: httpx2.AsyncClient,
    user: dict[str, Any],
    postgres: testing.PostgresServer,
    database: str,
) -> None:
    stored = postgres.execute("SELECT password_hash FROM users", database.rpartition("/")[2])
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.PasswordHasher(1).matches(stored, ADA["password"])
    assert not await passwords.PasswordHasher(1).matches(stored, "wrong")


async def test_reading_a_user_does_not_read_the_hash(
    client: httpx2.AsyncClient, user: dict[str, Any], statements: list[str]
) -> None:
    await client.get(f"/users/{user['id']}")
    assert len(statements) == 1
    assert "password_hash" not in statements[0]


async def test_an_address_can_sign_up_once_regardless_of_case(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    response = await client.post("/users", json={**ADA, "email": "ADA@Example.com"})
    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "a user with this e-mail address already exists"


async def test_one_of_several_concurrent_sign_ups_succeeds(client: httpx2.AsyncClient) -> None:
    responses = await asyncio.gather(*(client.post("/users", json=ADA) for _ in range(5)))
    assert sorted(response.status_code for response in responses) == [201] + [409] * 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "A"),
        ("name", "A" * 51),
        ("name", "A\x00B"),
        ("email", "ada"),
        ("email", "ada@example"),
        ("email", "a" * 250 + "@example.com"),
        ("password", "short"),
        ("password", "x" * 129),
        ("role", "admin"),
    ],
)
async def test_an_invalid_field_is_reported_without_its_value(
    client: httpx2.AsyncClient, field: str, value: str
) -> None:
    response = await client.post("/users", json={**ADA, field: value})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [error["loc"] for error in response.json()["errors"]] == [["body", field]]
    assert ADA["password"] not in response.text
    assert value not in response.text or len(value) < 6


async def test_an_unknown_user_returns_404(client: httpx2.AsyncClient) -> None:
    response = await client.get("/users/404")
    assert response.status_code == 404
    assert response.json()["detail"] == "user 404 does not exist"


async def test_hashing_does_not_block_the_event_loop() -> None:
    hasher = passwords.PasswordHasher(2)
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            asked = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - asked)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.01)
    started_at = time.monotonic()
    await asyncio.gather(*(hasher.hash("correct horse") for _ in range(8)))
    took = time.monotonic() - started_at
    await asyncio.sleep(0.01)
    watching.cancel()
    assert longest < took / 2, f"the loop stood still for {longest:.3f} of {took:.3f} s"
