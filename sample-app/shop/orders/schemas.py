"""Request and response bodies for orders."""

from __future__ import annotations

import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shop import fields


class LineCreate(BaseModel):
    """An item and its quantity."""

    model_config = ConfigDict(extra="forbid")

    item_id: fields.Id
    quantity: int = Field(ge=1, le=1000)


class OrderCreate(BaseModel):
    """A new order."""

    model_config = ConfigDict(extra="forbid")

    lines: Annotated[list[LineCreate], Field(min_length=1, max_length=50)]


class Line(BaseModel):
    """A line with the price at the time of the order."""

    model_config = ConfigDict(from_attributes=True)

    item_id: fields.Id
    quantity: int
    price_cents: int


class Order(BaseModel):
    """An order."""

    model_config = ConfigDict(from_attributes=True)

    id: fields.Id
    total_cents: int
    created_at: datetime.datetime
    lines: list[Line]
