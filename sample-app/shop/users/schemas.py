"""Request and response bodies for users. No response contains the password."""

from __future__ import annotations

import datetime

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from shop import fields


class UserCreate(BaseModel):
    """The data for a sign-up."""

    model_config = ConfigDict(extra="forbid")

    name: fields.Name
    email: fields.Email
    # The limit prevents clients from making the server hash a very long text.
    password: SecretStr = Field(min_length=8, max_length=128)


class User(BaseModel):
    """A user as other users may see it."""

    model_config = ConfigDict(from_attributes=True)

    id: fields.Id
    name: str
    email: str
    created_at: datetime.datetime
