"""The comparisons. Each gets the same result in two ways, with the shop's own code if possible."""

from __future__ import annotations

import asyncio

import httpx2
import sqlalchemy as sa
from sqlalchemy import orm, pool
from sqlalchemy.ext import asyncio as orm_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.measure import Comparison, Work
from shop import models, state
from shop.items import cursor, queries, router, schemas

ITEMS = 20_000
PAGE = 50
WAITERS = 20
UNINDEXED = "reviews_unindexed"
"""A copy of `reviews`. Switching index scans off for a session would not do: the plan of a prepared
statement is kept."""


def http(client: httpx2.AsyncClient) -> list[Comparison]:
    """Through the application."""

    def together(address: str) -> Work:
        async def run() -> None:
            await asyncio.gather(*(client.get(address) for _ in range(WAITERS)))

        return run

    def beside(where: str) -> Work:
        """Twenty probes while one request computes, to measure the effect on others."""

        async def run() -> None:
            address = f"/labs/compute?where={where}&rounds=150000"
            working = asyncio.create_task(client.get(address))
            await asyncio.sleep(0)
            for _ in range(20):
                await client.get("/livez")
            working.cancel() if where == "process" else await working
            await asyncio.gather(working, return_exceptions=True)

        return run

    return [
        Comparison(
            f"{WAITERS} requests that await 10 ms",
            "blocking 10 ms in `async def`",
            together("/labs/async?seconds=0.01"),
            together("/labs/blocking?seconds=0.01"),
        ),
        Comparison(
            f"{WAITERS} requests that block 10 ms in `def`",
            "blocking 10 ms in `async def`",
            together("/labs/sync?seconds=0.01"),
            together("/labs/blocking?seconds=0.01"),
        ),
        Comparison(
            "20 probes beside CPU work in a process", "inline", beside("process"), beside("inline")
        ),
        Comparison(
            "20 probes beside CPU work in a thread", "inline", beside("thread"), beside("inline")
        ),
    ]


def caching(client: httpx2.AsyncClient, found: state.State) -> list[Comparison]:
    """Item reads: from Redis, from the database, not at all."""

    async def hit() -> None:
        assert (await client.get("/items/7")).headers["x-cache"] == "hit"

    async def miss() -> None:
        await found["cache"].invalidate(router.cache_key(7))
        assert (await client.get("/items/7")).headers["x-cache"] == "miss"

    async def unchanged() -> None:
        etag = (await client.get("/items/7")).headers["etag"]
        for _ in range(5):
            await client.get("/items/7", headers={"If-None-Match": etag})

    async def whole() -> None:
        for _ in range(6):
            await client.get("/items/7")

    async def warm_hit() -> None:
        await client.get("/items/7")
        await hit()

    return [
        Comparison("an item from Redis", "from PostgreSQL, and stored", warm_hit, miss, repeat=10),
        Comparison(
            "304 for a client with a current copy", "the whole body", unchanged, whole, repeat=5
        ),
    ]


def database(engine: AsyncEngine) -> list[Comparison]:
    """Statements."""
    unpooled = create_async_engine(engine.url, poolclass=pool.NullPool)

    async def one(with_engine: AsyncEngine) -> None:
        async with with_engine.connect() as connection:
            await connection.execute(sa.select(models.Item.name).where(models.Item.id == 7))

    async def fetch(statement: sa.Select[*tuple[object, ...]]) -> None:
        async with orm_session(engine) as session:
            (await session.execute(statement)).all()

    item = models.Item
    newest = sa.select(item).order_by(item.created_at.desc(), item.id.desc()).limit(PAGE)

    async def with_selectin() -> None:
        await fetch(newest.options(orm.selectinload(item.reviews)))

    async def n_plus_one() -> None:
        async with orm_session(engine) as session:
            for found in (await session.execute(newest)).scalars().all():
                reviews = sa.select(models.Review).where(models.Review.item_id == found.id)
                (await session.execute(reviews)).scalars().all()

    async def look_up(table: sa.TableClause) -> None:
        async with engine.connect() as connection:
            for item_id in range(1, 11):
                await connection.execute(sa.select(table.c.id).where(table.c.item_id == item_id))

    reviews = sa.table("reviews", sa.column("id"), sa.column("item_id", sa.BigInteger))
    unindexed = sa.table(UNINDEXED, sa.column("id"), sa.column("item_id", sa.BigInteger))

    async def by_key() -> None:
        async with engine.connect() as connection:
            found = await connection.execute(
                sa.select(item.created_at, item.id).where(item.id == ITEMS // 10)
            )
            row = found.one()
            start = cursor.Cursor(row.created_at, row.id)
            (await connection.execute(queries.page_statement(start, PAGE))).all()

    async def by_offset() -> None:
        async with engine.connect() as connection:
            statement = queries.page_statement(None, PAGE).offset(ITEMS * 9 // 10)
            (await connection.execute(statement)).all()

    async def lean() -> None:
        async with orm_session(engine) as session:
            rows = (await session.execute(queries.page_statement(None, PAGE))).all()
            [schemas.ItemSummary.model_validate(row).model_dump_json() for row in rows]

    async def full() -> None:
        async with orm_session(engine) as session:
            items = (await session.execute(newest)).scalars().all()
            [schemas.ItemSummary.model_validate(found).model_dump_json() for found in items]

    columns = sa.select(*item.__table__.columns).order_by(item.id).limit(PAGE)

    async def by_core() -> None:
        async with engine.connect() as connection:
            (await connection.execute(columns)).all()

    async def by_orm() -> None:
        async with orm_session(engine) as session:
            (await session.execute(sa.select(item).order_by(item.id).limit(PAGE))).scalars().all()

    return [
        Comparison("a pooled connection", "a new connection per statement", lambda: one(engine),
                   lambda: one(unpooled), repeat=5),
        Comparison(f"`selectinload` of {PAGE} items", "one statement per item", with_selectin,
                   n_plus_one),
        Comparison("an index on the foreign key (10 lookups)", "none", lambda: look_up(reviews),
                   lambda: look_up(unindexed)),
        Comparison("a deep page by key", "by OFFSET", by_key, by_offset, repeat=3),
        Comparison("only the listed columns", "whole objects", lean, full, repeat=3),
        Comparison(f"{PAGE} rows by Core", "by the ORM, as objects", by_core, by_orm, repeat=3),
    ]  # fmt: skip


def orm_session(engine: AsyncEngine) -> orm_asyncio.AsyncSession:
    """Its own session for each run, so that no object stays in an identity map."""
    return orm_asyncio.AsyncSession(engine, expire_on_commit=False)
