"""Requests and responses of signing in."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from shop import fields


class TokenRequest(BaseModel):
    """A sign-in."""

    model_config = ConfigDict(extra="forbid")

    email: fields.Email
    password: SecretStr = Field(min_length=1, max_length=128)


class Token(BaseModel):
    """An access token, shown once."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="seconds")
