"""A body that declares itself too large is refused as a problem, before anything runs for it.

FastAPI's own `max_body_size` counts what arrives. It refuses what is declared as well, but in plain
text that no handler can change, and only once the endpoint reads its body or answers.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from shop import problems


class DeclaredBodyLimit:
    """Pure ASGI middleware: above `max_bytes` of Content-Length, answer 413 at once."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and _declared_bytes(scope) > self._max_bytes:
            refusal = problems.response(413, f"a body may have {self._max_bytes} bytes")
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def install(app: FastAPI, max_bytes: int) -> None:
    """Put the limit around the whole stack of `app`: `add_middleware` would be inside FastAPI's."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: DeclaredBodyLimit(  # type: ignore[method-assign]
        build(), max_bytes=max_bytes
    )


def _declared_bytes(scope: Scope) -> int:
    try:
        return int(Headers(scope=scope).get("content-length", "0"))
    except ValueError:
        return 0  # the server and FastAPI's own limit judge the rest
