from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

LAMP = {"name": "Lamp", "price_cents": 1990}
CHAIR = {"name": "Chair", "price_cents": 5000}


@pytest.fixture(autouse=True)
async def _items(client: httpx2.AsyncClient, user: dict[str, Any]) -> None:
    await client.post("/items", json=LAMP)
    await client.post("/items", json=CHAIR)


def order(*lines: tuple[int, int]) -> dict[str, Any]:
    return {"lines": [{"item_id": item_id, "quantity": n} for item_id, n in lines]}


async def test_an_order_has_the_current_prices_and_a_total(client: httpx2.AsyncClient) -> None:
    response = await client.post("/orders", json=order((1, 2), (2, 1), (1, 1)))
    assert response.status_code == 201
    body = response.json()
    assert body["total_cents"] == 3 * 1990 + 5000
    assert body["lines"] == [
        {"item_id": 1, "quantity": 3, "price_cents": 1990},
        {"item_id": 2, "quantity": 1, "price_cents": 5000},
    ]
    assert (await client.get(response.headers["location"])).json() == body


async def test_an_order_with_an_unknown_item_is_rejected(client: httpx2.AsyncClient) -> None:
    response = await client.post("/orders", json=order((1, 1), (7, 1), (8, 1)))
    assert response.status_code == 409
    assert response.json()["detail"] == "these items do not exist: 7, 8"
    assert (await client.get("/orders/1")).status_code == 404


async def test_the_number_of_statements_does_not_depend_on_the_lines(
    client: httpx2.AsyncClient, statements: list[str]
) -> None:
    await client.post("/orders", json=order((1, 1)))
    one = len(statements)
    statements.clear()
    await client.post("/orders", json=order(*[(1 + n % 2, 1) for n in range(50)]))
    assert len(statements) == one == 5


async def test_a_repeated_idempotency_key_creates_one_order(client: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "abc-1"}
    calls = (client.post("/orders", json=order((1, 1)), headers=headers) for _ in range(5))
    responses = await asyncio.gather(*calls)
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["id"] for response in responses}) == 1
    other = await client.post("/orders", json=order((1, 1)), headers={"Idempotency-Key": "abc-2"})
    assert other.json()["id"] != responses[0].json()["id"]


async def test_each_request_without_a_key_creates_an_order(client: httpx2.AsyncClient) -> None:
    made = [(await client.post("/orders", json=order((1, 1)))).json()["id"] for _ in range(2)]
    assert made[0] != made[1]


async def test_only_the_owner_can_read_an_order(client: httpx2.AsyncClient) -> None:
    made = (await client.post("/orders", json=order((1, 1)))).json()
    eve = {"email": "eve@example.com", "password": "correct horse"}
    await client.post("/users", json={**eve, "name": "Eve"})
    token = (await client.post("/tokens", json=eve)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await client.get(f"/orders/{made['id']}", headers=headers)).status_code == 404
