"""Request and response bodies of the sign-in."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from shop import fields


class TokenRequest(BaseModel):
    """Credentials for a sign-in."""

    model_config = ConfigDict(extra="forbid")

    email: fields.Email
    password: SecretStr = Field(min_length=1, max_length=128)


class Token(BaseModel):
    """An access token. It cannot be read again later."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="lifetime in seconds")
