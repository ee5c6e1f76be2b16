"""`/tokens` and `/users/me`."""

from __future__ import annotations

from fastapi import APIRouter, status

from shop import dependencies, models, problems
from shop.auth import dependencies as auth
from shop.auth import queries, schemas
from shop.users import schemas as users

router = APIRouter(tags=["users"])


@router.post(
    "/tokens", status_code=status.HTTP_201_CREATED, responses=problems.documented(401, 422)
)
async def sign_in(
    body: schemas.TokenRequest,
    sessions: dependencies.SessionsDep,
    passwords: dependencies.PasswordsDep,
    config: dependencies.SettingsDep,
) -> schemas.Token:
    """Sign in with e-mail address and password."""
    async with sessions() as session:
        found = await queries.get_credentials(session, body.email)
    # The session is closed, so no connection is held while the hash is computed. An unknown address
    # takes as long as a wrong password, so that the time does not reveal which addresses exist.
    user_id, password_hash = found or (0, await passwords.decoy())
    if not await passwords.matches(password_hash, body.password.get_secret_value()):
        raise auth.unauthorized("e-mail address or password is wrong")
    async with sessions() as session:
        token = await queries.create(session, user_id, config.token_lifetime_seconds)
    return schemas.Token(access_token=token, expires_in=config.token_lifetime_seconds)


@router.get("/users/me", response_model=users.User, responses=problems.documented(401))
async def read_myself(user: auth.CurrentUserDep) -> models.User:
    """Return the current user."""
    return user
