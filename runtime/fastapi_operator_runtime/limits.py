"""Limits of the work in one process: requests in flight and threads.

The server's own `--limit-concurrency` also counts idle keep-alive connections. If a proxy keeps
connections open, that would shed idle traffic. The limit here counts requests.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_operator_runtime import responses, state

RETRY_AFTER_SECONDS = (1, 3)
"""Bounds of the random Retry-After, so that clients that obey it do not retry all at once."""


class InFlightLimiter:
    """Pure ASGI middleware: if `limit` requests are in flight, it responds 503 at once.

    Early shedding keeps the requests in flight fast. If the event loop is saturated, a queue would
    only delay every response.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit: int,
        worker: state.Worker,
        on_shed: Callable[[], None] | None = None,
    ) -> None:
        self.app = app
        self._limit = limit
        self._worker = worker
        self._on_shed = on_shed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request, or sheds it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self._worker.in_flight >= self._limit:
            if self._on_shed is not None:
                self._on_shed()
            await _shed(send, self._limit)
            return
        self._worker.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._worker.in_flight -= 1


async def _shed(send: Send, limit: int) -> None:
    problem = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": f"{limit} requests are in flight in this process; try again shortly",
    }
    retry_after = str(random.randint(*RETRY_AFTER_SECONDS)).encode()
    await responses.send_json(
        send,
        503,
        problem,
        content_type="application/problem+json",
        headers=[(b"retry-after", retry_after)],
    )


def set_thread_tokens(tokens: int) -> None:
    """Sets the number of threads for `def` endpoints, file responses and uploads.

    Call it inside the running event loop: AnyIO has one limiter per loop.
    """
    anyio.to_thread.current_default_thread_limiter().total_tokens = tokens
