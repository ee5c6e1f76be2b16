"""`CurrentUserDep`: the user of the request, or 401."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Security, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shop import dependencies, models
from shop.auth import queries

# With `auto_error=False`, a missing header is handled below, by a 401 with the required header.
bearer = HTTPBearer(auto_error=False, description="`access_token` of POST /tokens")


def unauthorized(detail: str) -> HTTPException:
    """Returns a 401 error with the header that RFC 9110 requires."""
    return HTTPException(
        status.HTTP_401_UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"}
    )


async def get_current_user(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    session: dependencies.SessionDep,
) -> models.User:
    """Returns the owner of the bearer token, with one query per request."""
    if credentials is None:
        raise unauthorized("sign in at POST /tokens and send the token as a bearer token")
    user = await queries.get_owner(session, credentials.credentials)
    if user is None:
        raise unauthorized("the token is unknown or expired")
    return user


CurrentUserDep = Annotated[models.User, Depends(get_current_user, scope="function")]
