"""`/users`."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response, status

from shop import dependencies, fields, models, problems
from shop.users import queries, schemas

router = APIRouter(prefix="/users", tags=["users"])


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=schemas.User,
    responses=problems.documented(409, 422),
)
async def create_user(
    body: schemas.UserCreate,
    request: Request,
    response: Response,
    session: dependencies.SessionDep,
    passwords: dependencies.PasswordsDep,
) -> models.User:
    """Create a user (sign up)."""
    # Hash before the first statement, so that no database connection is held meanwhile.
    password_hash = await passwords.hash(body.password.get_secret_value())
    try:
        user = await queries.create(
            session, name=body.name, email=body.email, password_hash=password_hash
        )
    except queries.EmailTaken:
        raise HTTPException(
            status.HTTP_409_CONFLICT, "a user with this e-mail address already exists"
        ) from None
    response.headers["Location"] = request.url_for("read_user", user_id=user.id).path
    return user


@router.get("/{user_id}", response_model=schemas.User, responses=problems.documented(404, 422))
async def read_user(user_id: fields.PathId, session: dependencies.SessionDep) -> models.User:
    """Return one user."""
    user = await queries.get(session, user_id)
    if user is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"user {user_id} does not exist")
    return user
