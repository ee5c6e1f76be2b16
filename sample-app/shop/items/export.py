"""All items as one stream of JSON lines, without holding a connection while the client reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from shop.items import cursor, queries, schemas

PAGE = 500


async def lines(sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[bytes]:
    """Yields one item per line, newest first.

    A page is read, its session is closed, then the page is sent. If a session lived as long as the
    stream, it would belong to the slowest reader, and a few of them would exhaust the pool.
    """
    start: cursor.Cursor | None = None
    while True:
        async with sessions() as session:
            rows, start = await queries.page(session, after=start, limit=PAGE)
        for row in rows:
            yield schemas.ItemSummary.model_validate(row).model_dump_json().encode() + b"\n"
        if start is None:
            return
