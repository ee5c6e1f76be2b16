"""Requests and responses for users. A response never has the password."""

from __future__ import annotations

import datetime

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from shop import fields


class UserCreate(BaseModel):
    """A sign-up."""

    model_config = ConfigDict(extra="forbid")

    name: fields.Name
    email: fields.Email
    # The limit prevents hashing a megabyte of text.
    password: SecretStr = Field(min_length=8, max_length=128)


class User(BaseModel):
    """The public data of a user."""

    model_config = ConfigDict(from_attributes=True)

    id: fields.Id
    name: str
    email: str
    created_at: datetime.datetime
