"""SQL statements for items and reviews."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import exc, orm
from sqlalchemy.ext.asyncio import AsyncSession

from shop import models
from shop.items import cursor, schemas

Summary = tuple[int, str, int, datetime.datetime]
"""The columns of a list: id, name, price_cents, created_at."""


class NoSuchItem(Exception):
    """The item does not exist."""


def page_statement(after: cursor.Cursor | None, limit: int) -> sa.Select[*Summary]:
    """Returns the statement for a page, newest first, that starts after a key.

    With the index, page 1000 is as fast as page 1; OFFSET would read and discard all rows before
    the page. Only the columns of the list are read.
    """
    item = models.Item
    statement = (
        sa.select(item.id, item.name, item.price_cents, item.created_at)
        .order_by(item.created_at.desc(), item.id.desc())
        .limit(limit)
    )
    if after is None:
        return statement
    key = sa.tuple_(item.created_at, item.id)
    return statement.where(key < sa.tuple_(sa.literal(after.created_at), sa.literal(after.id)))


async def page(
    session: AsyncSession, *, after: cursor.Cursor | None, limit: int
) -> tuple[Sequence[sa.Row[*Summary]], cursor.Cursor | None]:
    """Returns a page and the cursor of the next one, or None for the last page."""
    # One additional row shows whether there is a next page, without a count.
    rows = (await session.execute(page_statement(after, limit + 1))).all()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], cursor.Cursor(last.created_at, last.id)


async def get_with_reviews(session: AsyncSession, item_id: int) -> models.Item | None:
    """Returns the item with its reviews, in two statements for any number of reviews."""
    statement = (
        sa.select(models.Item)
        .where(models.Item.id == item_id)
        .options(orm.selectinload(models.Item.reviews))
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def create(session: AsyncSession, new: schemas.ItemCreate) -> models.Item:
    """Inserts an item and commits."""
    item = models.Item(**new.model_dump(), reviews=[])
    session.add(item)
    await session.commit()
    return item


async def add_review(
    session: AsyncSession, item_id: int, author_id: int, new: schemas.ReviewCreate
) -> models.Review:
    """Inserts a review and commits.

    Raises:
        NoSuchItem: The item does not exist.
    """
    review = models.Review(item_id=item_id, author_id=author_id, **new.model_dump())
    session.add(review)
    try:
        await session.commit()
    except exc.IntegrityError as error:
        # Rely on the foreign key: between a lookup and the insert, the item could be deleted.
        if "fk_reviews_item_id_items" in str(error.orig):
            raise NoSuchItem from None
        raise
    return review
