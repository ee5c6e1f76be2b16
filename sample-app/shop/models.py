"""The tables. The names of constraints are fixed, so that migrations can refer to them."""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from sqlalchemy import orm

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(orm.DeclarativeBase):
    """Base of all tables."""

    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it as a plain attribute)
        datetime.datetime: sa.DateTime(timezone=True),
        int: sa.BigInteger,
        str: sa.Text,
    }


class User(Base):
    """A user. The password is stored as an argon2id hash."""

    __tablename__ = "users"

    id: orm.Mapped[int] = orm.mapped_column(sa.Identity(), primary_key=True)
    name: orm.Mapped[str]
    email: orm.Mapped[str] = orm.mapped_column(unique=True)
    password_hash: orm.Mapped[str] = orm.mapped_column(deferred=True)
    created_at: orm.Mapped[datetime.datetime] = orm.mapped_column(server_default=sa.func.now())

    __table_args__ = (sa.CheckConstraint("char_length(name) BETWEEN 2 AND 50", name="name_length"),)


class Item(Base):
    """An item for sale. Lists are sorted by `created_at, id`, which has an index."""

    __tablename__ = "items"

    id: orm.Mapped[int] = orm.mapped_column(sa.Identity(), primary_key=True)
    name: orm.Mapped[str]
    description: orm.Mapped[str] = orm.mapped_column(server_default="")
    price_cents: orm.Mapped[int]
    created_at: orm.Mapped[datetime.datetime] = orm.mapped_column(server_default=sa.func.now())

    reviews: orm.Mapped[list[Review]] = orm.relationship(
        back_populates="item",
        order_by="Review.id.desc()",
        # Reading a relationship that was not loaded is an error, not a hidden query for each row.
        lazy="raise_on_sql",
        passive_deletes=True,
    )

    __table_args__ = (
        sa.CheckConstraint("price_cents >= 0", name="price_not_negative"),
        sa.Index(None, "created_at", "id"),
    )


class Review(Base):
    """A review of an item by a user."""

    __tablename__ = "reviews"

    id: orm.Mapped[int] = orm.mapped_column(sa.Identity(), primary_key=True)
    item_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("items.id", ondelete="CASCADE"))
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    rating: orm.Mapped[int] = orm.mapped_column(sa.SmallInteger)
    body: orm.Mapped[str] = orm.mapped_column(server_default="")
    created_at: orm.Mapped[datetime.datetime] = orm.mapped_column(server_default=sa.func.now())

    item: orm.Mapped[Item] = orm.relationship(back_populates="reviews", lazy="raise_on_sql")

    __table_args__ = (
        sa.CheckConstraint("rating BETWEEN 1 AND 5", name="rating_range"),
        # PostgreSQL creates no index for a foreign key; without one, each delete scans the table.
        sa.Index(None, "item_id", "id"),
        sa.Index(None, "author_id"),
    )


class Token(Base):
    """An access token. Only its digest is stored."""

    __tablename__ = "tokens"

    digest: orm.Mapped[bytes] = orm.mapped_column(primary_key=True)
    user_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: orm.Mapped[datetime.datetime]

    __table_args__ = (sa.Index(None, "user_id"),)


class Order(Base):
    """An order of a user."""

    __tablename__ = "orders"

    id: orm.Mapped[int] = orm.mapped_column(sa.Identity(), primary_key=True)
    user_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    idempotency_key: orm.Mapped[str | None]
    total_cents: orm.Mapped[int]
    created_at: orm.Mapped[datetime.datetime] = orm.mapped_column(server_default=sa.func.now())

    lines: orm.Mapped[list[OrderLine]] = orm.relationship(
        order_by="OrderLine.item_id", lazy="raise_on_sql", passive_deletes=True
    )

    # This constraint is also the index for the orders of a user.
    __table_args__ = (sa.UniqueConstraint("user_id", "idempotency_key"),)


class OrderLine(Base):
    """An item of an order, with its quantity and its price at that time."""

    __tablename__ = "order_lines"

    order_id: orm.Mapped[int] = orm.mapped_column(
        sa.ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True
    )
    item_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("items.id"), primary_key=True)
    quantity: orm.Mapped[int]
    price_cents: orm.Mapped[int]

    __table_args__ = (
        sa.CheckConstraint("quantity > 0", name="quantity_positive"),
        sa.Index(None, "item_id"),
    )
