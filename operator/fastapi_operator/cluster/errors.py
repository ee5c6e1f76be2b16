"""Errors of the API server, and the properties by which the reconciler classifies them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The API server has no reason for an immutable field, only these messages.
_IMMUTABLE = re.compile(r"immutable|may not change once set|updates to statefulset spec for fields")
_MANAGER = re.compile(r'conflicts? with "([^"]+)"')
# The message of an apply whose body does not match the schema; its status is 500. One fault follows
# in the same line, several follow after "errors:" in lines of their own.
_UNTYPED = re.compile(r"failed to create typed patch object \([^)]*\): (?P<faults>.*)", re.DOTALL)
_UNTYPED_FAULT = re.compile(r"^\s*[.](?P<field>.+?): (?P<fault>.*)$", re.MULTILINE)
# The message of an apply with a value of the right type that cannot be parsed; its status is 500.
_UNPARSED = re.compile(r"failed to convert new object \([^)]*\) to proper version")
_UNKNOWN = re.compile(r'unknown field "(?P<field>[^"]+)"')


@dataclass
class ApiError(Exception):
    """A response of the API server other than success.

    Attributes:
        status: HTTP status; 0 if there was no response (timeout, refused connection).
        reason: The reason in the API, for example ``NotFound`` or ``AlreadyExists``.
        message: The API server's message.
        causes: Its details as pairs of field and message.
        retry_after_seconds: The delay that it requested; 0 if it requested none.
        conflict_types: The reasons of its details, for example ``NamespaceTerminating``.
    """

    status: int
    reason: str
    message: str
    causes: tuple[tuple[str, str], ...] = ()
    retry_after_seconds: float = 0.0
    conflict_types: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}"

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later without a change."""
        if _UNTYPED.search(self.message) or _UNPARSED.search(self.message):
            return False
        return self.status in (0, 408, 409, 425, 429) or self.status >= 500

    @property
    def faults(self) -> tuple[tuple[str, str], ...]:
        """The fields that were refused, each with the reason."""
        untyped = _UNTYPED.search(self.message)
        if untyped:
            # The rest of a fault is the value in the API server's notation.
            return tuple(
                (found["field"], found["fault"].partition(", got")[0])
                for found in _UNTYPED_FAULT.finditer(untyped["faults"])
            )
        unknown = tuple((field, "unknown field") for field in _UNKNOWN.findall(self.message))
        return unknown or (self.causes if self.status == 422 else ())

    @property
    def namespace_is_terminating(self) -> bool:
        """Whether the namespace is being deleted or is deleted, so that no write can succeed."""
        if "NamespaceTerminating" in self.conflict_types:
            return True
        return self.status == 404 and self.message.startswith('namespaces "')

    @property
    def immutable_fields(self) -> tuple[str, ...]:
        """The fields that cannot be changed in place; empty if that is not the reason."""
        if self.status != 422:
            return ()
        return tuple(name for name, message in self.causes if _IMMUTABLE.search(message))

    @property
    def other_managers(self) -> tuple[str, ...]:
        """The field managers that an apply conflicted with."""
        found = (_MANAGER.search(message) for _, message in self.causes)
        return tuple(sorted({match.group(1) for match in found if match}))


def from_response(status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """Returns the error in a response: a ``Status`` object, or the text of a proxy."""
    response: dict[str, Any] = {}
    try:
        parsed = json.loads(body)
        response = parsed if isinstance(parsed, dict) else {}
    except ValueError:
        # A proxy, or an API server that is shutting down, responds with plain text.
        response = {"message": body[:200].decode(errors="replace")}
    details = response.get("details") or {}
    causes = details.get("causes") or ()
    return ApiError(
        status=status,
        reason=str(response.get("reason") or _REASONS.get(status, "Error")),
        message=str(response.get("message") or "no message"),
        causes=tuple((str(c.get("field", "")), str(c.get("message", ""))) for c in causes),
        retry_after_seconds=_retry_after(headers, details),
        conflict_types=frozenset(str(cause.get("reason", "")) for cause in causes),
    )


_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    422: "Invalid",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}


def _retry_after(headers: Mapping[str, str], details: Mapping[str, Any]) -> float:
    text = headers.get("Retry-After") or details.get("retryAfterSeconds") or 0
    try:
        return max(0.0, float(text))
    except ValueError:
        return 1.0
