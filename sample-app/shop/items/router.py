"""`/items` and their reviews."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from shop import conditional, dependencies, fields, models, problems
from shop.auth.dependencies import CurrentUserDep
from shop.items import cursor, export, queries, schemas

router = APIRouter(prefix="/items", tags=["items"])

# A client may keep a copy but must revalidate it; the response is usually 304.
CACHE_CONTROL = "public, max-age=0, must-revalidate"


def cache_key(item_id: int) -> str:
    """Returns the Redis key of an item; change the version when the model changes."""
    return f"shop:item:v1:{item_id}"


@router.get("", responses=problems.documented(422))
async def list_items(
    session: dependencies.SessionDep,
    after: Annotated[str | None, Query(max_length=100, description="`next` of a page")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> schemas.ItemPage:
    """List items, newest first."""
    try:
        start = cursor.Cursor.decode(after) if after is not None else None
    except cursor.InvalidCursor:
        raise HTTPException(422, "`after` must be the `next` of a page") from None
    rows, next_start = await queries.page(session, after=start, limit=limit)
    return schemas.ItemPage(
        items=[schemas.ItemSummary.model_validate(row) for row in rows],
        next=next_start.encode() if next_start else None,
    )


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=schemas.Item,
    responses=problems.documented(422),
)
async def create_item(
    body: schemas.ItemCreate,
    request: Request,
    response: Response,
    session: dependencies.SessionDep,
) -> models.Item:
    """Create an item."""
    item = await queries.create(session, body)
    response.headers["Location"] = request.url_for("read_item", item_id=item.id).path
    return item


@router.get("/export", response_class=StreamingResponse)
async def export_items(sessions: dependencies.SessionsDep) -> StreamingResponse:
    """Export all items, one JSON object per line."""
    return StreamingResponse(export.lines(sessions), media_type="application/jsonl")


@router.get(
    "/{item_id}",
    response_model=schemas.Item,
    responses={304: {"description": "Not Modified"}, **problems.documented(404, 422)},
)
async def read_item(
    item_id: fields.PathId,
    request: Request,
    cache: dependencies.CacheDep,
    sessions: dependencies.SessionsDep,
) -> Response:
    """Return one item with its reviews, from Redis if it is cached.

    The cache contains the response body, so a hit is neither validated nor serialised again.
    """

    async def load() -> bytes | None:
        async with sessions() as session:
            item = await queries.get_with_reviews(session, item_id)
        return schemas.Item.model_validate(item).model_dump_json().encode() if item else None

    content, outcome = await cache.get_or_load(cache_key(item_id), load)
    if content is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"item {item_id} does not exist")
    headers = {"X-Cache": outcome, "Cache-Control": CACHE_CONTROL}
    return conditional.respond(request, content, headers)


@router.post(
    "/{item_id}/reviews",
    status_code=status.HTTP_201_CREATED,
    response_model=schemas.Review,
    responses=problems.documented(401, 404, 422),
)
async def create_review(
    item_id: fields.PathId,
    body: schemas.ReviewCreate,
    user: CurrentUserDep,
    session: dependencies.SessionDep,
    cache: dependencies.CacheDep,
) -> models.Review:
    """Review an item."""
    try:
        review = await queries.add_review(session, item_id, user.id, body)
    except queries.NoSuchItem:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"item {item_id} does not exist") from None
    await cache.invalidate(cache_key(item_id))
    return review
