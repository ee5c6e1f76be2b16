"""Errors that are raised after the response is complete, for example by a background task."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class LateErrors:
    """Pure ASGI middleware around everything else, which logs such an error and ends it.

    Starlette also raises an unhandled error again after its response 500. uvicorn closes the
    connection on any error, without notice and at any time. By then a proxy may have sent its next
    request on the connection, and that request fails with 502.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ends errors that come too late for the client to notice."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        complete = False

        async def watched(message: Message) -> None:
            nonlocal complete
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                complete = True

        try:
            await self.app(scope, receive, watched)
        except Exception:
            if not complete:
                raise
            logger.exception("Exception in ASGI application")
