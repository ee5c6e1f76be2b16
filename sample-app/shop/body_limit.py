"""Rejects a request whose Content-Length is too large before any other code runs for it.

FastAPI's own `max_body_size` counts the bytes that arrive. It also checks Content-Length, but only
when the endpoint reads the body or responds, and its plain-text response cannot be changed.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from shop import problems


class DeclaredBodyLimit:
    """Pure ASGI middleware that returns 413 if Content-Length exceeds `max_bytes`."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or rejects it."""
        if scope["type"] == "http" and _declared_bytes(scope) > self._max_bytes:
            rejection = problems.response(
                413, f"the request body is larger than {self._max_bytes} bytes"
            )
            await rejection(scope, receive, send)
            return
        await self.app(scope, receive, send)


def install(app: FastAPI, max_bytes: int) -> None:
    """Wraps the whole middleware stack of `app`; `add_middleware` would be inside FastAPI's own."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: DeclaredBodyLimit(  # type: ignore[method-assign]
        build(), max_bytes=max_bytes
    )


def _declared_bytes(scope: Scope) -> int:
    try:
        return int(Headers(scope=scope).get("content-length", "0"))
    except ValueError:
        return 0  # The server and FastAPI's own limit handle an invalid header.
