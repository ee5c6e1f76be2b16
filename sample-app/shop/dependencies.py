"""Dependencies of endpoints, as `Annotated` aliases. Each is resolved once per request.

All are `async def`: FastAPI runs each `def` in a thread, which costs more than the cache.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from shop import cache, passwords, settings


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Yields a session for one request; its connection is returned before the response is sent."""
    sessions: async_sessionmaker[AsyncSession] = request.state.sessions
    async with sessions() as session:
        yield session


async def get_sessions(request: Request) -> async_sessionmaker[AsyncSession]:
    """Returns the session factory, for endpoints that may need no session, as on a cache hit."""
    sessions: async_sessionmaker[AsyncSession] = request.state.sessions
    return sessions


async def get_cache(request: Request) -> cache.Cache:
    """Returns the cache of this process."""
    found: cache.Cache = request.state.cache
    return found


async def get_passwords(request: Request) -> passwords.PasswordHasher:
    """Returns the password hasher of this process."""
    found: passwords.PasswordHasher = request.state.passwords
    return found


async def get_settings(request: Request) -> settings.Settings:
    """Returns the settings of this process."""
    found: settings.Settings = request.state.settings
    return found


# With `scope="function"`, the session is closed when the endpoint returns, before the body is sent.
# With the default, a slow client would hold a database connection while it reads the response.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
SessionsDep = Annotated[async_sessionmaker[AsyncSession], Depends(get_sessions)]
CacheDep = Annotated[cache.Cache, Depends(get_cache)]
PasswordsDep = Annotated[passwords.PasswordHasher, Depends(get_passwords)]
SettingsDep = Annotated[settings.Settings, Depends(get_settings)]
