"""What the API server refused, in the terms that the reconciler decides by."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The API server has no reason of its own for it, only these words.
_IMMUTABLE = re.compile(r"immutable|may not change once set|updates to statefulset spec for fields")
_MANAGER = re.compile(r'conflicts? with "([^"]+)"')
# What apply says of a body that does not fit the kind's schema; it says so with status 500.
_UNTYPED = re.compile(
    r"failed to create typed patch object [^:]*: [.](?P<field>\S+): (?P<fault>.*)"
)
_UNKNOWN = re.compile(r'unknown field "(?P<field>[^"]+)"')


@dataclass
class ApiError(Exception):
    """An answer of the API server other than success.

    Attributes:
        status: HTTP status; 0 where no answer came (timeout, refused connection).
        reason: The API's own word for it, such as ``NotFound`` or ``AlreadyExists``.
        message: The API server's message.
        causes: Its details: pairs of field and message.
        retry_after_seconds: How long it asked us to wait; 0 where it did not.
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
        """Whether the same request may succeed later, without anybody changing anything."""
        if _UNTYPED.search(self.message):
            return False
        return self.status in (0, 408, 409, 425, 429) or self.status >= 500

    @property
    def faults(self) -> tuple[tuple[str, str], ...]:
        """The fields that were refused, each with what is wrong with it."""
        untyped = _UNTYPED.search(self.message)
        if untyped:
            # What follows is the value in the API server's own notation.
            return ((untyped["field"], untyped["fault"].partition(", got")[0]),)
        unknown = tuple((field, "unknown field") for field in _UNKNOWN.findall(self.message))
        return unknown or (self.causes if self.status == 422 else ())

    @property
    def namespace_is_terminating(self) -> bool:
        """Whether the namespace is being deleted or is gone: nothing can be written any more."""
        if "NamespaceTerminating" in self.conflict_types:
            return True
        return self.status == 404 and self.message.startswith('namespaces "')

    @property
    def immutable_fields(self) -> tuple[str, ...]:
        """The fields that cannot be changed in place; empty where that is not the reason."""
        if self.status != 422:
            return ()
        return tuple(name for name, message in self.causes if _IMMUTABLE.search(message))

    @property
    def other_managers(self) -> tuple[str, ...]:
        """The field managers that an apply conflicted with."""
        found = (_MANAGER.search(message) for _, message in self.causes)
        return tuple(sorted({match.group(1) for match in found if match}))


def from_response(status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """The error in an answer: a ``Status`` object, or whatever a proxy put in its place."""
    answer: dict[str, Any] = {}
    try:
        parsed = json.loads(body)
        answer = parsed if isinstance(parsed, dict) else {}
    except ValueError:
        # A proxy or a dying API server answers in plain text.
        answer = {"message": body[:200].decode(errors="replace")}
    details = answer.get("details") or {}
    causes = details.get("causes") or ()
    return ApiError(
        status=status,
        reason=str(answer.get("reason") or _REASONS.get(status, "Error")),
        message=str(answer.get("message") or "no message"),
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
