"""SQL statements for users."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncSession

from shop import models


class EmailTaken(Exception):
    """Another user has this e-mail address."""


async def create(
    session: AsyncSession, *, name: str, email: str, password_hash: str
) -> models.User:
    """Inserts a user and commits.

    The unique constraint detects a duplicate. A lookup before the insert would not be enough: two
    sign-ups at the same time would both pass it.

    Raises:
        EmailTaken: The address is in use.
    """
    user = models.User(name=name, email=email.lower(), password_hash=password_hash)
    session.add(user)
    try:
        await session.commit()
    except exc.IntegrityError as error:
        if "uq_users_email" in str(error.orig):
            raise EmailTaken from None
        raise
    return user


async def get(session: AsyncSession, user_id: int) -> models.User | None:
    """Returns the user without the password hash, which is a deferred column."""
    return (
        await session.execute(sa.select(models.User).where(models.User.id == user_id))
    ).scalar_one_or_none()
