"""Error responses as `application/problem+json` (RFC 9457), in the same format for all errors."""

from __future__ import annotations

import http
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import exc
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
DATABASE_RETRY_SECONDS = "1"

UNREACHABLE = (ConnectionError, TimeoutError, socket.gaierror)
"""Errors while connecting, which SQLAlchemy does not wrap."""


class ProblemDetail(BaseModel):
    """The body of every error response."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    errors: Sequence[Any] | None = None


def response(
    status: int,
    detail: str | None = None,
    *,
    errors: Sequence[Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Returns an error response."""
    problem = ProblemDetail(
        title=http.HTTPStatus(status).phrase, status=status, detail=detail, errors=errors
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the OpenAPI responses for these status codes."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetail"}}}
    return {
        status: {
            "model": ProblemDetail,
            "description": http.HTTPStatus(status).phrase,
            "content": content,
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Adds handlers to `app` that turn every error into such a response."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(exc.TimeoutError, _database_busy)
    app.add_exception_handler(exc.DBAPIError, _database_failed)
    for unreachable in UNREACHABLE:
        app.add_exception_handler(unreachable, _database_failed)
    app.add_exception_handler(Exception, _unexpected)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = error.detail if error.detail != http.HTTPStatus(error.status_code).phrase else None
    return response(error.status_code, detail, headers=error.headers)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # The rejected input is left out, because it may be a password.
    errors = [
        {"loc": list(item["loc"]), "msg": item["msg"], "type": item["type"]}
        for item in error.errors()
    ]
    return response(422, "the request is not valid", errors=jsonable_encoder(errors))


async def _database_busy(_request: Request, _error: Exception) -> JSONResponse:
    return response(
        503, "no database connection is free", headers={"Retry-After": DATABASE_RETRY_SECONDS}
    )


async def _database_failed(_request: Request, error: Exception) -> JSONResponse:
    """Returns 503 if the connection failed, as a retry may succeed, and 500 for other errors."""
    if isinstance(error, UNREACHABLE) or _is_connection_error(error):
        return response(
            503, "the database cannot be reached", headers={"Retry-After": DATABASE_RETRY_SECONDS}
        )
    raise error


async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
    return response(500)


def _is_connection_error(error: Exception) -> bool:
    if not isinstance(error, exc.DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    # 08: connection; 53: resources; 57P: shutdown or startup; 57014: statement timeout.
    return error.connection_invalidated or state[:2] in ("08", "53") or state.startswith("57")
