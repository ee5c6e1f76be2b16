from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi_operator_runtime import testing

from shop.dependencies import SessionDep
from shop.items import cursor, export

LAMP = {"name": "Lamp", "description": "It glows.", "price_cents": 1990}


async def test_a_new_item_can_be_read_at_its_location(client: httpx2.AsyncClient) -> None:
    response = await client.post("/items", json=LAMP)
    assert response.status_code == 201
    assert response.json()["reviews"] == []
    read = await client.get(response.headers["location"])
    assert read.json() == response.json()


async def test_an_item_includes_its_reviews_newest_first(
    client: httpx2.AsyncClient, item: dict[str, Any], user: dict[str, Any]
) -> None:
    for rating in (3, 5):
        review = {"rating": rating, "body": "bright"}
        response = await client.post(f"/items/{item['id']}/reviews", json=review)
        assert response.status_code == 201
    read = (await client.get(f"/items/{item['id']}")).json()
    assert [review["rating"] for review in read["reviews"]] == [5, 3]


async def test_a_review_requires_an_existing_item(
    client: httpx2.AsyncClient, user: dict[str, Any]
) -> None:
    response = await client.post("/items/404/reviews", json={"rating": 5})
    assert response.status_code == 404
    assert response.json()["detail"] == "item 404 does not exist"


async def test_a_review_requires_a_signed_in_author(
    client: httpx2.AsyncClient, item: dict[str, Any]
) -> None:
    response = await client.post("/items/1/reviews", json={"rating": 5})
    assert response.status_code == 401


@pytest.mark.parametrize("rating", [0, 6, 2.5, "good"])
async def test_a_rating_is_between_one_and_five(
    client: httpx2.AsyncClient, item: dict[str, Any], user: dict[str, Any], rating: Any
) -> None:
    review = {"rating": rating}
    response = await client.post(f"/items/{item['id']}/reviews", json=review)
    assert response.status_code == 422


@pytest.mark.parametrize("item_id", ["0", "-1", "x", str(2**63)])
async def test_an_invalid_id_is_rejected_before_the_database(
    client: httpx2.AsyncClient, item_id: str, statements: list[str]
) -> None:
    assert (await client.get(f"/items/{item_id}")).status_code == 422
    assert statements == []


async def test_pages_contain_every_item_once_newest_first(client: httpx2.AsyncClient) -> None:
    for number in range(7):
        await client.post("/items", json={**LAMP, "name": f"Lamp {number}"})
    seen: list[str] = []
    after: str | None = None
    for _ in range(3):
        query = {"limit": 3} | ({"after": after} if after else {})
        page = (await client.get("/items", params=query)).json()
        seen += [entry["name"] for entry in page["items"]]
        after = page["next"]
    assert seen == [f"Lamp {number}" for number in reversed(range(7))]
    assert after is None


async def test_a_new_item_does_not_shift_the_next_page(client: httpx2.AsyncClient) -> None:
    for number in range(4):
        await client.post("/items", json={**LAMP, "name": f"Lamp {number}"})
    first = (await client.get("/items", params={"limit": 2})).json()
    await client.post("/items", json={**LAMP, "name": "Latecomer"})
    query = {"limit": 2, "after": first["next"]}
    second = (await client.get("/items", params=query)).json()
    names = [entry["name"] for entry in first["items"] + second["items"]]
    assert names == ["Lamp 3", "Lamp 2", "Lamp 1", "Lamp 0"]


async def test_a_list_reads_only_the_listed_columns(
    client: httpx2.AsyncClient, item: dict[str, Any], statements: list[str]
) -> None:
    page = (await client.get("/items")).json()
    assert set(page["items"][0]) == {"id", "name", "price_cents", "created_at"}
    assert len(statements) == 1
    assert "description" not in statements[0]


@pytest.mark.parametrize("after", ["x", "!!!!", "MjAyNg", "", "é"])
async def test_an_invalid_cursor_is_rejected(client: httpx2.AsyncClient, after: str) -> None:
    response = await client.get("/items", params={"after": after})
    assert response.status_code == 422


def test_a_cursor_can_be_encoded_and_decoded() -> None:
    start = cursor.Cursor(datetime.datetime(2026, 11, 22, 20, 0, 0, 123456, datetime.UTC), 42)
    assert cursor.Cursor.decode(start.encode()) == start


async def test_a_client_with_a_current_copy_gets_304(
    client: httpx2.AsyncClient, item: dict[str, Any], user: dict[str, Any]
) -> None:
    address = f"/items/{item['id']}"
    first = await client.get(address)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "public, max-age=0, must-revalidate"
    for condition in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await client.get(address, headers={"If-None-Match": condition})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == etag
    await client.post(f"{address}/reviews", json={"rating": 1})
    changed = await client.get(address, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


async def test_an_export_contains_every_item_and_holds_no_connection(
    client: httpx2.AsyncClient, postgres: testing.PostgresServer, database: str
) -> None:
    insert = (
        "INSERT INTO items (name, price_cents) SELECT 'Lamp', n FROM generate_series(1, 1200) n"
    )
    postgres.execute(insert, database.rpartition("/")[2])
    pool = client.state["engine"].pool  # type: ignore[attr-defined]
    seen = []
    async for line in export.lines(client.state["sessions"]):  # type: ignore[attr-defined]
        assert pool.checkedout() == 0, "the reader may take his time"
        seen.append(json.loads(line)["price_cents"])
    assert seen == list(range(1200, 0, -1))
    response = await client.get("/items/export")
    assert response.headers["content-type"] == "application/jsonl"
    assert len(response.text.splitlines()) == 1200


async def test_a_session_is_closed_before_the_body_is_streamed(app: FastAPI, connect: Any) -> None:
    @app.get("/streams")
    async def streams(request: Request, session: SessionDep) -> StreamingResponse:
        await session.execute(sa.text("SELECT 1"))
        pool = request.state.engine.pool
        held = pool.checkedout()

        async def body() -> AsyncIterator[str]:
            yield f"{held} held by the endpoint, {pool.checkedout()} by the body"

        return StreamingResponse(body())

    async with connect(app) as client:
        text = (await client.get("/streams")).text
    assert text == "1 held by the endpoint, 0 by the body"
