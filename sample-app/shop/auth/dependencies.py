"""`CurrentUserDep`: the user of the request, or 401."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Security, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shop import dependencies, models
from shop.auth import queries

# `auto_error=False`: a missing header is handled below, as a 401 that names the scheme.
bearer = HTTPBearer(auto_error=False, description="`access_token` of POST /tokens")


def unauthorized(detail: str) -> HTTPException:
    """Returns 401 with the header that RFC 9110 requires."""
    return HTTPException(
        status.HTTP_401_UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"}
    )


async def get_current_user(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    session: dependencies.SessionDep,
) -> models.User:
    """Returns the owner of the bearer token. If a request needs it twice, it is looked up once."""
    if credentials is None:
        raise unauthorized("sign in at POST /tokens and send the token as a bearer token")
    user = await queries.owner(session, credentials.credentials)
    if user is None:
        raise unauthorized("the token is unknown or has expired")
    return user


CurrentUserDep = Annotated[models.User, Depends(get_current_user, scope="function")]
