"""One observation per request: its id, its trace, its metrics and its canonical log line."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Awaitable, Iterable, Mapping

import structlog
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_operator_runtime import batches, canonical, limits, metrics, routes, state

REQUEST_ID_HEADER = b"x-request-id"
CLIENT_CLOSED_REQUEST = 499
"""Nginx's status for a client that closed its connection early; it is never sent."""

KNOWN_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_SAFE_ID = re.compile(rb"[A-Za-z0-9._\-]{1,128}")
_TRACEPARENT = re.compile(
    rb"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}"
)
# Of its own, because an application that seeds the shared one would repeat the ids in each worker.
_random = random.Random()
os.register_at_fork(after_in_child=_random.seed)


class RequestObserver:
    """Pure ASGI middleware around the whole application, including error handling.

    Args:
        app: The wrapped application.
        worker: State of this process.
        instruments: Metrics to record to; if None, none are recorded.
        lines: Writes the canonical lines; if None, none are written.
        request_ids: Whether to accept, create and return `X-Request-ID`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        worker: state.Worker,
        instruments: metrics.Instruments | None,
        lines: canonical.Writer | None,
        request_ids: bool,
    ) -> None:
        self.app = app
        self._worker = worker
        self._instruments = instruments
        self._lines = lines
        self._request_ids = request_ids
        self._active = self._reported = 0
        batches.watch(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Observes one HTTP request; other scopes pass unchanged."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self._worker.requested_at = time.perf_counter()
        observation = Observation(scope, send, self._worker, self._request_ids)
        self._active += 1
        batches.wake()
        tokens = structlog.contextvars.bind_contextvars(**observation.context)
        try:
            await self.app(scope, receive, observation.send)
        except BaseException as error:
            observation.fail(error)
            raise
        finally:
            observation.finish()
            self._active -= 1
            if self._instruments is not None:
                observation.record(self._instruments)
            if self._lines is not None and limits.SHED not in scope:  # those are logged by sample
                self._lines.write(observation)
            structlog.contextvars.reset_contextvars(**tokens)

    def flush(self) -> None:
        """Updates the number of requests in flight; an application may not be the only one."""
        if self._instruments is not None:
            active = self._active
            self._instruments.active_requests.inc(active - self._reported)
            self._reported = active


class Observation:
    """The data of one request, collected between its first byte and its last.

    Attributes:
        context: The ids of trace, span and request.
        status: The status of the response.
        body_bytes: The size of its body.
        error: The type of the exception that left the application.
        route: The template of the route, if one matched.
        seconds: The duration.
    """

    status = 0
    body_bytes = 0
    error: str | None = None
    route: str | None = None
    seconds = 0.0
    _request_id: bytes | None = None

    def __init__(self, scope: Scope, send: Send, worker: state.Worker, request_ids: bool) -> None:
        self._started_at = time.perf_counter()
        self._scope = scope
        self._send = send
        self._worker = worker
        headers = dict(reversed(scope["headers"]))  # of equal names, the first header counts
        self.context = trace_context(headers)
        if request_ids:
            request_id = accepted_request_id(headers) or f"{_random.getrandbits(128):032x}"
            self._request_id = request_id.encode()
            self.context["request_id"] = request_id
            scope.setdefault("state", {})["request_id"] = request_id

    @property
    def method(self) -> str:
        """The method, as the client sent it."""
        method: str = self._scope["method"]
        return method

    @property
    def path(self) -> str:
        """The path without the query, which can contain secrets."""
        path: str = self._scope["path"]
        return path

    @property
    def client(self) -> str | None:
        """The address of the client, if known."""
        client = self._scope.get("client")
        return client[0] if client else None

    def send(self, message: Message) -> Awaitable[None]:
        """Records status and size, adds the headers of the runtime, and sends."""
        if message["type"] == "http.response.body":
            self.body_bytes += len(message.get("body", b""))
        elif message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._with_headers(message.get("headers", ()))
        return self._send(message)

    def _with_headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Returns the headers of the response with those of the runtime."""
        headers = [pair for pair in given if pair[0] != REQUEST_ID_HEADER]
        if self._request_id is not None:
            headers.append((REQUEST_ID_HEADER, self._request_id))
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

    def finish(self) -> None:
        """Records the end of the request."""
        self.seconds = time.perf_counter() - self._started_at
        self.status = self.status or CLIENT_CLOSED_REQUEST
        self.route = routes.template(self._scope)

    def record(self, instruments: metrics.Instruments) -> None:
        """Adds the request to the metrics."""
        method = self.method if self.method in KNOWN_METHODS else "_OTHER"
        instruments.request_seconds.observe(
            self.seconds, method, self.route or "", str(self.status)
        )


def accepted_request_id(headers: Mapping[bytes, bytes]) -> str | None:
    """Returns the caller's request id if it is safe in logs and headers."""
    value = headers.get(REQUEST_ID_HEADER)
    return value.decode() if value is not None and _SAFE_ID.fullmatch(value) else None


def trace_context(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Returns trace and span id: of the own span if tracing is enabled, else of the caller."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    value = headers.get(b"traceparent")
    match = _TRACEPARENT.fullmatch(value) if value is not None else None
    if match is None:
        return {}
    return {"trace_id": match["trace"].decode(), "span_id": match["span"].decode()}
