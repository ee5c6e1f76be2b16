"""Request and response bodies for items. Lists contain neither descriptions nor reviews."""

from __future__ import annotations

import datetime

from pydantic import BaseModel, ConfigDict, Field

from shop import fields

MAX_PRICE_CENTS = 100_000_000


class ItemCreate(BaseModel):
    """A new item."""

    model_config = ConfigDict(extra="forbid")

    name: fields.Name
    description: fields.LongText = ""
    price_cents: int = Field(ge=0, le=MAX_PRICE_CENTS)


class ReviewCreate(BaseModel):
    """A new review."""

    model_config = ConfigDict(extra="forbid")

    rating: int = Field(ge=1, le=5)
    body: fields.LongText = ""


class ItemSummary(BaseModel):
    """An item in a list."""

    model_config = ConfigDict(from_attributes=True)

    id: fields.Id
    name: str
    price_cents: int
    created_at: datetime.datetime


class Review(BaseModel):
    """A review of an item."""

    model_config = ConfigDict(from_attributes=True)

    id: fields.Id
    author_id: fields.Id
    rating: int
    body: str
    created_at: datetime.datetime


class Item(ItemSummary):
    """An item with its description and its reviews, newest first."""

    description: str
    reviews: list[Review]


class ItemPage(BaseModel):
    """One page of a list."""

    items: list[ItemSummary]
    next: str | None = Field(description="pass it as `after` to get the following page")
