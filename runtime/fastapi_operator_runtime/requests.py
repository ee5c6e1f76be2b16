"""One observation per request: its id, its trace, its metrics and its canonical log line."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable

import structlog
from opentelemetry import trace
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_operator_runtime import logs, metrics, routes, state

REQUEST_ID_HEADER = "x-request-id"
CLIENT_CLOSED_REQUEST = 499
"""Nginx's status for a client that closed its connection early; it is never sent."""

KNOWN_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_SAFE_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")


class RequestObserver:
    """Pure ASGI middleware around the whole application, including error handling.

    Args:
        app: The wrapped application.
        worker: State of this process.
        instruments: Metrics to record to; if None, none are recorded.
        log: Whether to write the canonical line.
        request_ids: Whether to accept, create and return `X-Request-ID`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        worker: state.Worker,
        instruments: metrics.Instruments | None,
        log: bool,
        request_ids: bool,
    ) -> None:
        self.app = app
        self._worker = worker
        self._instruments = instruments
        self._log = structlog.stdlib.get_logger(logs.REQUEST_LOGGER) if log else None
        self._request_ids = request_ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Observes one HTTP request; other scopes pass unchanged."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        observation = Observation(scope, self._request_ids)
        observed_send = observation.wrap(send, lambda: self._worker.draining)
        if self._instruments is not None:
            self._instruments.active_requests.inc()
        tokens = structlog.contextvars.bind_contextvars(**observation.context)
        try:
            await self.app(scope, receive, observed_send)
        except BaseException as error:
            observation.fail(error)
            raise
        finally:
            if self._instruments is not None:
                self._instruments.active_requests.dec()
                observation.record(self._instruments)
            if self._log is not None:
                observation.write(self._log)
            structlog.contextvars.reset_contextvars(**tokens)


class Observation:
    """The data of one request, collected between its first byte and its last."""

    def __init__(self, scope: Scope, request_ids: bool) -> None:
        self._scope = scope
        self._started_at = time.perf_counter()
        self._status = 0
        self._body_bytes = 0
        self._error: str | None = None
        headers = Headers(scope=scope)
        self.context = trace_context(headers)
        self._request_id: str | None = None
        if request_ids:
            self._request_id = accepted_request_id(headers) or uuid.uuid4().hex
            self.context["request_id"] = self._request_id
            scope.setdefault("state", {})["request_id"] = self._request_id

    def wrap(self, send: Send, draining: Callable[[], bool]) -> Send:
        """Returns a `send` that records status and size, and adds the headers of the runtime."""

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                headers = MutableHeaders(scope=message)
                if self._request_id is not None:
                    headers[REQUEST_ID_HEADER] = self._request_id
                # While draining, the client's next request goes to another pod.
                if draining():
                    headers["connection"] = "close"
            elif message["type"] == "http.response.body":
                self._body_bytes += len(message.get("body", b""))
            await send(message)

        return observed

    def fail(self, error: BaseException) -> None:
        """Records the exception that left the application."""
        kind = type(error)
        self._error = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        if self._status == 0:
            gone = kind.__name__ in ("ClientDisconnect", "CancelledError")
            self._status = CLIENT_CLOSED_REQUEST if gone else 500

    def record(self, instruments: metrics.Instruments) -> None:
        """Adds the request to the metrics."""
        method = self._scope["method"]
        instruments.request_seconds.labels(
            method if method in KNOWN_METHODS else "_OTHER",
            routes.template(self._scope) or "",
            str(self._status or CLIENT_CLOSED_REQUEST),
        ).observe(time.perf_counter() - self._started_at)

    def write(self, log: structlog.stdlib.BoundLogger) -> None:
        """Writes the canonical line: all data of the request, once."""
        scope, client = self._scope, self._scope.get("client")
        status = self._status or CLIENT_CLOSED_REQUEST
        fields = {
            "http.request.method": scope["method"],
            "http.route": routes.template(scope),
            "url.path": scope["path"],
            "http.response.status_code": status,
            "http.response.body.size": self._body_bytes,
            "duration_ms": round((time.perf_counter() - self._started_at) * 1000, 3),
            "client.address": client[0] if client else None,
        }
        if self._error is not None:
            fields["error.type"] = self._error
        log.log(logging.ERROR if status >= 500 else logging.INFO, "request", **fields)


def accepted_request_id(headers: Headers) -> str | None:
    """Returns the caller's request id if it is safe in logs and headers."""
    value = headers.get(REQUEST_ID_HEADER)
    return value if value is not None and _SAFE_ID.fullmatch(value) else None


def trace_context(headers: Headers) -> dict[str, str]:
    """Returns trace and span id: of the own span if tracing is enabled, else of the caller."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    match = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return {"trace_id": match["trace"], "span_id": match["span"]} if match else {}
