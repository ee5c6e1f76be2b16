"""The ids of a request: its own, and those of its trace."""

from __future__ import annotations

import contextvars
import os
import re
from collections.abc import Mapping
from typing import Any

import structlog
from opentelemetry import trace

REQUEST_ID_HEADER = b"x-request-id"

_SAFE_ID = re.compile(rb"[A-Za-z0-9._\-]{1,128}")
_TRACEPARENT = re.compile(
    rb"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}"
)
_ID_BYTES = 16
_ID_DIGITS = 2 * _ID_BYTES
_BATCH = 256


def _variable(key: str) -> contextvars.ContextVar[Any]:
    """Returns structlog's variable of a key, since its own functions search it each time."""
    tokens = structlog.contextvars.bind_contextvars(**{key: ""})
    structlog.contextvars.reset_contextvars(**tokens)
    return tokens[key].var


VARIABLES = {key: _variable(key) for key in ("trace_id", "span_id", "request_id")}
"""The variables by which every record of the log within the request has the ids."""

# A system call for each id would cost more than the rest of it.
_new_ids: list[str] = []
os.register_at_fork(after_in_child=_new_ids.clear)


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """Returns the caller's request id if it is safe in logs and headers, otherwise a random one."""
    value = headers.get(REQUEST_ID_HEADER)
    if value is not None and _SAFE_ID.fullmatch(value):
        return value.decode()
    if not _new_ids:
        digits = os.urandom(_BATCH * _ID_BYTES).hex()
        starts = range(0, len(digits), _ID_DIGITS)
        _new_ids.extend([digits[start : start + _ID_DIGITS] for start in starts])
    return _new_ids.pop()


def trace_context(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Returns trace and span id: of the own span if tracing is enabled, else of the caller."""
    if len(contextvars.copy_context()):  # a span is a variable of the context
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    value = headers.get(b"traceparent")
    match = _TRACEPARENT.fullmatch(value) if value is not None else None
    if match is None:
        return {}
    return {"trace_id": match["trace"].decode(), "span_id": match["span"].decode()}
