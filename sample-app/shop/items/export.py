"""Streams all items as JSON lines, without holding a connection while the client reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from shop.items import cursor, queries, schemas

PAGE = 500


async def lines(sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[bytes]:
    """Yields one line per item, newest first.

    Each page is read, its session is closed, and then the page is sent. If a session stayed open
    during the whole stream, a few slow clients could use up the connection pool.
    """
    start: cursor.Cursor | None = None
    while True:
        async with sessions() as session:
            rows, start = await queries.page(session, after=start, limit=PAGE)
        for row in rows:
            yield schemas.ItemSummary.model_validate(row).model_dump_json().encode() + b"\n"
        if start is None:
            return
