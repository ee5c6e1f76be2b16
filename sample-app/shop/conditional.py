"""Conditional responses: an ETag, and 304 without a body if the client already has the body."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fastapi import Request, Response


def respond(request: Request, body: bytes, headers: Mapping[str, str]) -> Response:
    """Returns `body` as JSON, or 304 if the client's copy is the same.

    Args:
        request: The request, for its If-None-Match.
        body: JSON, encoded.
        headers: Additional headers for both responses.
    """
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    all_headers = {**headers, "ETag": etag}
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=all_headers)
    return Response(body, media_type="application/json", headers=all_headers)


def _matches(condition: str | None, etag: str) -> bool:
    """Compares weakly, as If-None-Match requires: a compressing proxy makes the tag weak."""
    if condition is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return "*" in tags or etag in tags
