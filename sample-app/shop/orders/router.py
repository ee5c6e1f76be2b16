"""`/orders`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Request, Response, status

from shop import dependencies, fields, models, problems
from shop.auth.dependencies import CurrentUserDep
from shop.orders import queries, schemas

router = APIRouter(prefix="/orders", tags=["orders"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_\-]+$",
        description="makes retries safe: requests with the same key create one order",
    ),
]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=schemas.Order,
    responses=problems.documented(401, 409, 422),
)
async def create_order(
    body: schemas.OrderCreate,
    request: Request,
    response: Response,
    user: CurrentUserDep,
    session: dependencies.SessionDep,
    idempotency_key: IdempotencyKey = None,
) -> models.Order | None:
    """Order items at their current prices."""
    try:
        order_id = await queries.create(session, user_id=user.id, key=idempotency_key, new=body)
    except queries.NoSuchItems as error:
        raise HTTPException(
            status.HTTP_409_CONFLICT, f"these items do not exist: {error}"
        ) from None
    response.headers["Location"] = request.url_for("read_order", order_id=order_id).path
    return await queries.get(session, user_id=user.id, order_id=order_id)


@router.get(
    "/{order_id}", response_model=schemas.Order, responses=problems.documented(401, 404, 422)
)
async def read_order(
    order_id: fields.PathId, user: CurrentUserDep, session: dependencies.SessionDep
) -> models.Order:
    """Return an order of the current user."""
    order = await queries.get(session, user_id=user.id, order_id=order_id)
    if order is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"order {order_id} does not exist")
    return order
