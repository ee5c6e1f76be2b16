"""SQL statements for orders."""

from __future__ import annotations

import collections

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from shop import models
from shop.orders import schemas


class NoSuchItems(Exception):
    """Some of the ordered items do not exist."""

    def __init__(self, item_ids: set[int]) -> None:
        super().__init__(", ".join(str(item_id) for item_id in sorted(item_ids)))


async def create(
    session: AsyncSession, *, user_id: int, key: str | None, new: schemas.OrderCreate
) -> int:
    """Inserts an order in one transaction, with four statements for any number of lines.

    Args:
        session: The session of the request.
        user_id: The user who orders.
        key: The client's Idempotency-Key; if it was used before, the existing order is returned.
        new: The order.

    Returns:
        The id of the order.

    Raises:
        NoSuchItems: An item does not exist; nothing was inserted.
    """
    quantities: collections.Counter[int] = collections.Counter()
    for line in new.lines:
        quantities[line.item_id] += line.quantity
    statement = sa.select(models.Item.id, models.Item.price_cents).where(
        models.Item.id.in_(quantities)
    )
    prices: dict[int, int] = {row.id: row.price_cents for row in await session.execute(statement)}
    if missing := quantities.keys() - prices.keys():
        raise NoSuchItems(set(missing))
    total = sum(prices[item_id] * quantity for item_id, quantity in quantities.items())
    # The unique constraint makes the second of two equal requests wait here for the first.
    order_id: int | None = await session.scalar(
        postgresql.insert(models.Order)
        .values(user_id=user_id, idempotency_key=key, total_cents=total)
        .on_conflict_do_nothing(constraint="uq_orders_user_id_idempotency_key")
        .returning(models.Order.id)
    )
    if order_id is None:
        existing = sa.select(models.Order.id).where(
            models.Order.user_id == user_id, models.Order.idempotency_key == key
        )
        existing_id: int = (await session.execute(existing)).scalar_one()
        return existing_id
    lines = [
        {"order_id": order_id, "item_id": item_id, "quantity": n, "price_cents": prices[item_id]}
        for item_id, n in quantities.items()
    ]
    await session.execute(sa.insert(models.OrderLine), lines)
    await session.commit()
    return order_id


async def get(session: AsyncSession, *, user_id: int, order_id: int) -> models.Order | None:
    """Returns an order of the user with its lines, in one join, since an order has few lines."""
    statement = (
        sa.select(models.Order)
        .where(models.Order.id == order_id, models.Order.user_id == user_id)
        .options(orm.joinedload(models.Order.lines))
    )
    return (await session.execute(statement)).unique().scalar_one_or_none()
