"""SQL statements for access tokens.

A token is random, and only its digest is stored. Therefore a person who can read the table cannot
sign in, the replicas need no shared secret, and a token can be revoked.
"""

from __future__ import annotations

import datetime
import hashlib
import secrets

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from shop import models

TOKEN_BYTES = 32


def digest(token: str) -> bytes:
    """Returns the digest of a token. A token has 256 random bits, so a fast hash is secure."""
    return hashlib.sha256(token.encode()).digest()


async def get_credentials(session: AsyncSession, email: str) -> tuple[int, str] | None:
    """Returns id and password hash of the user with this e-mail address."""
    statement = sa.select(models.User.id, models.User.password_hash).where(
        models.User.email == email.lower()
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else (row.id, row.password_hash)


async def create(session: AsyncSession, user_id: int, lifetime_seconds: int) -> str:
    """Creates a token for the user and commits."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = sa.func.now() + datetime.timedelta(seconds=lifetime_seconds)
    statement = sa.insert(models.Token).values(
        digest=digest(token), user_id=user_id, expires_at=expires_at
    )
    await session.execute(statement)
    await session.commit()
    return token


async def get_owner(session: AsyncSession, token: str) -> models.User | None:
    """Returns the owner of a token; None if the token is unknown or expired."""
    statement = (
        sa.select(models.User)
        .join(models.Token, models.Token.user_id == models.User.id)
        .where(models.Token.digest == digest(token), models.Token.expires_at > sa.func.now())
    )
    return (await session.execute(statement)).scalar_one_or_none()
