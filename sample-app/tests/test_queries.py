"""The number of statements, and the indexes that they use."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi_operator_runtime import testing
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql

from shop import models
from shop.items import cursor, queries

ROWS = """
INSERT INTO users (name, email, password_hash)
SELECT 'User', 'user' || n || '@example.com', 'x' FROM generate_series(1, 200) n;
INSERT INTO items (name, price_cents, created_at)
SELECT 'Item', n, timestamptz '2026-01-01' + n * interval '1 minute'
FROM generate_series(1, 20000) n;
INSERT INTO reviews (item_id, author_id, rating)
SELECT 1 + n % 20000, 1 + n % 200, 1 + n % 5 FROM generate_series(1, 60000) n;
ANALYZE;
"""


@pytest.fixture(scope="module")
def filled(postgres: testing.PostgresServer) -> Iterator[str]:
    """The name of a database with enough rows that the planner uses indexes."""
    postgres.create_database("filled", template="migrated")
    postgres.execute(ROWS, "filled")
    yield "filled"
    postgres.drop_database("filled")


@pytest.mark.parametrize("reviews", [0, 1, 25])
async def test_an_item_takes_two_statements_for_any_number_of_reviews(
    client: httpx2.AsyncClient,
    item: dict[str, Any],
    user: dict[str, Any],
    reviews: int,
    statements: list[str],
) -> None:
    for _ in range(reviews):
        await client.post("/items/1/reviews", json={"rating": 5})
    statements.clear()
    response = await client.get("/items/1")
    assert len(response.json()["reviews"]) == reviews
    assert len(statements) == 2, statements


def explain(postgres: testing.PostgresServer, database: str, statement: Any) -> str:
    sql = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    return postgres.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}", database)


def test_a_late_page_reads_the_index_from_its_key(
    postgres: testing.PostgresServer, filled: str
) -> None:
    start = cursor.Cursor(datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), 1000)
    plan = explain(postgres, filled, queries.page_statement(start, 21))
    assert "Index Scan Backward using ix_items_created_at_id on items (actual rows=21" in plan
    assert "Sort" not in plan
    assert "Rows Removed" not in plan


def test_an_offset_reads_every_row_before_the_page(
    postgres: testing.PostgresServer, filled: str
) -> None:
    """The reason why there is no `?page=`."""
    plan = explain(postgres, filled, queries.page_statement(None, 21).offset(18000))
    assert "on items (actual rows=18021" in plan


def test_the_reviews_of_an_item_are_read_with_the_index(
    postgres: testing.PostgresServer, filled: str
) -> None:
    plan = postgres.execute(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) "
        "SELECT id FROM reviews WHERE item_id = 7 ORDER BY id DESC",
        filled,
    )
    assert "ix_reviews_item_id_id" in plan
    assert "Seq Scan" not in plan


def test_without_the_index_the_table_is_scanned(
    postgres: testing.PostgresServer, filled: str
) -> None:
    """Shows that the test above can fail."""
    explained = "EXPLAIN SELECT id FROM reviews WHERE item_id = 7"
    without = f"BEGIN; DROP INDEX ix_reviews_item_id_id; {explained}; ROLLBACK"
    plan = postgres.execute(without, filled)
    assert "Seq Scan" in plan


async def test_reading_an_unloaded_relationship_is_an_error(
    client: httpx2.AsyncClient, item: dict[str, Any]
) -> None:
    async with client.state["sessions"]() as session:  # type: ignore[attr-defined]
        found = await session.get_one(models.Item, item["id"])
        with pytest.raises(exc.InvalidRequestError, match="raise_on_sql"):
            found.reviews  # noqa: B018 (otherwise a hidden query for each row)
