"""Each request of the application: its limit, its ids, its metrics and its canonical log line.

One middleware does all of it. Each further one would cost every request a coroutine, and a function
around `send`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_operator_runtime import batches, canonical, ids, limits, metrics, routes, state

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""Nginx's status for a client that closed its connection early; it is never sent."""

KNOWN_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)


class Requests:
    """Pure ASGI middleware around the whole application, including error handling.

    Starlette raises an unhandled error again after its response 500, and a background task can fail
    after the response. uvicorn closes the connection on any error, without notice and at any time.
    By then a proxy may have sent its next request on the connection, which fails with 502.
    Therefore an error after a complete response is logged, and ends here.

    Args:
        app: The wrapped application.
        worker: State of this process.
        limiter: Sheds requests; if None, none are shed.
        instruments: Metrics to record to; if None, none are recorded.
        lines: Writes the canonical lines; if None, none are written.
        request_ids: Whether to accept, create and return `X-Request-ID`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        worker: state.Worker,
        limiter: limits.Limiter | None,
        instruments: metrics.Instruments | None,
        lines: canonical.Writer | None,
        request_ids: bool,
    ) -> None:
        self.app = app
        self._worker = worker
        self._limiter = limiter
        self._instruments = instruments
        self._lines = lines
        self._request_ids = request_ids
        self._active = self._reported = 0
        batches.watch(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs or sheds one HTTP request; other scopes pass unchanged."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, send, self._worker)
        self._worker.requested_at = request.began_at
        headers = dict(reversed(scope["headers"]))  # of equal names, the first header counts
        context = request.context = ids.trace_context(headers)
        if self._request_ids:
            request.request_id = context["request_id"] = ids.request_id(headers)
            scope.setdefault("state", {})["request_id"] = request.request_id
        tokens = []
        for key, value in context.items():
            tokens.append(ids.VARIABLES[key].set(value))
        self._active += 1
        batches.wake()
        try:
            if self._limiter is None or self._limiter.admits(request, headers):
                await self.app(scope, receive, request.send)
            else:
                await limits.respond(request.send, scope[limits.SHED])
        except BaseException as error:
            request.fail(error)
            if not request.complete or not isinstance(error, Exception):
                raise
            logger.exception("Exception in ASGI application")
        finally:
            self._finish(request)
            for token in tokens:
                token.var.reset(token)

    def _finish(self, request: Request) -> None:
        request.seconds = time.perf_counter() - request.began_at
        request.status = request.status or CLIENT_CLOSED_REQUEST
        request.route = routes.template(request.scope)
        if request.limiter is not None:
            request.limiter.leave(request)
        self._active -= 1
        if self._instruments is not None:
            method = request.scope["method"]
            self._instruments.request_seconds.observe(
                request.seconds,
                method if method in KNOWN_METHODS else "_OTHER",
                request.route or "",
                str(request.status),
            )
        # Shed requests are logged by sample.
        if self._lines is not None and limits.SHED not in request.scope:
            self._lines.write(request)

    def flush(self) -> None:
        """Updates the number of requests in flight; an application may not be the only one."""
        if self._instruments is not None:
            active = self._active
            self._instruments.active_requests.inc(active - self._reported)
            self._reported = active


class Request:
    """The data of one request, collected between its first byte and its last.

    Attributes:
        scope: Its scope.
        began_at: Its start, on the clock of `time.perf_counter`.
        context: The ids of trace, span and request.
        request_id: The id that is returned, if any.
        priority: Whether it is shed last.
        limiter: The limiter that counts it, until the response begins.
        complete: Whether the response is complete.
        status: The status of the response.
        body_bytes: The size of its body.
        error: The type of the exception that left the application.
        route: The template of the route, if one matched.
        seconds: The duration.
    """

    __slots__ = (
        *("scope", "began_at", "context", "request_id", "priority", "limiter", "complete"),
        *("status", "body_bytes", "error", "route", "seconds", "_send", "_worker"),
    )

    def __init__(self, scope: Scope, send: Send, worker: state.Worker) -> None:
        self.began_at = time.perf_counter()
        self.scope = scope
        self.context: dict[str, str] = {}
        self.request_id: str | None = None
        self.priority = self.complete = False
        self.limiter: limits.Limiter | None = None
        self.status = self.body_bytes = 0
        self.error: str | None = None
        self.route: str | None = None
        self.seconds = 0.0
        self._send = send
        self._worker = worker

    @property
    def client(self) -> str | None:
        """The address of the client, if known."""
        client = self.scope.get("client")
        return client[0] if client else None

    def send(self, message: Message) -> Awaitable[None]:
        """Records status and size, adds the headers of the runtime, and sends."""
        kind = message["type"]
        if kind == "http.response.body":
            self.body_bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        elif kind == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._with_headers(message.get("headers", ()))
            if self.limiter is not None:
                self.limiter.leave(self)
        return self._send(message)

    def _with_headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Returns the headers of the response with those of the runtime."""
        headers = [pair for pair in given if pair[0] != ids.REQUEST_ID_HEADER]
        if self.request_id is not None:
            headers.append((ids.REQUEST_ID_HEADER, self.request_id.encode()))
        # While draining, the client's next request goes to another pod.
        if self._worker.draining:
            headers = [pair for pair in headers if pair[0] != b"connection"]
            headers.append((b"connection", b"close"))
        return headers

    def fail(self, error: BaseException) -> None:
        """Records the exception that left the application."""
        kind = type(error)
        self.error = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        if self.status == 0:
            gone = kind.__name__ in ("ClientDisconnect", "CancelledError")
            self.status = CLIENT_CLOSED_REQUEST if gone else 500
