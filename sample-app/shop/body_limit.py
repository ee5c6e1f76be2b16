"""If a request declares a body that is too large, it is rejected before any code runs for it.

FastAPI's own `max_body_size` counts received bytes. It also rejects declared sizes, but in plain
text that no handler can change, and only when the endpoint reads its body or responds.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from shop import problems


class DeclaredBodyLimit:
    """Pure ASGI middleware: if Content-Length exceeds `max_bytes`, it responds 413 at once."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or rejects it."""
        if scope["type"] == "http" and _declared_bytes(scope) > self._max_bytes:
            refusal = problems.response(413, f"a body may have {self._max_bytes} bytes")
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def install(app: FastAPI, max_bytes: int) -> None:
    """Wraps the whole stack of `app`; `add_middleware` would be inside it."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: DeclaredBodyLimit(  # type: ignore[method-assign]
        build(), max_bytes=max_bytes
    )


def _declared_bytes(scope: Scope) -> int:
    try:
        return int(Headers(scope=scope).get("content-length", "0"))
    except ValueError:
        return 0  # the server and FastAPI's limit check the rest
