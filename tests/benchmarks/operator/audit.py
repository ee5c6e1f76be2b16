"""The operator's requests to the API server, from the API server's audit log."""

import datetime
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OPERATOR = b'"userAgent":"fastapi-operator'
_WATCHER = b'"userAgent":"kopf'
# Reported apart: they do not grow with the number of services.
_APART = frozenset({"leases"})


@dataclass(frozen=True)
class Request:
    """One completed request.

    Attributes:
        verb: ``get``, ``list``, ``create``, ``patch``, ``delete``.
        resource: Plural of the kind, with the subresource after a slash.
        namespace: Of the object.
        name: Of the object.
        code: HTTP status.
        began: When it came, in seconds since 1970.
        ended: Time of the response.
    """

    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    began: float
    ended: float

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.verb not in ("get", "list", "watch")


class AuditLog:
    """The log from a position on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        """Returns the current position; later requests are after it."""
        return self._path.stat().st_size

    def requests(self, since: int, *, of: bytes = _OPERATOR) -> list[Request]:
        """Returns the requests after a mark, by default those of the operator."""
        found = []
        with self._path.open("rb") as lines:
            if since:
                lines.seek(since - 1)
                lines.readline()
            for line in lines:
                if of in line and line.endswith(b"\n"):
                    entry = json.loads(line)
                    if entry["stage"] == "ResponseComplete" and entry["verb"] != "watch":
                        found.append(_request(entry))
        return found

    def watches(self, since: int) -> int:
        """Watches and lists of Kopf."""
        with self._path.open("rb") as lines:
            lines.seek(since)
            return sum(_WATCHER in line and b"ResponseStarted" in line for line in lines)


def of_services(requests: list[Request]) -> list[Request]:
    """Those for services and their children: no Lease, no discovery, no list of a whole kind."""
    return [
        request
        for request in requests
        if request.resource and request.resource not in _APART and request.verb != "list"
    ]


def relists(requests: list[Request]) -> list[Request]:
    """Returns the lists of services and their children by a resync.

    Not among them are those of discovery, and of the pods that are measured.
    """
    others = ("namespaces", "pods")
    return [item for item in requests if item.verb == "list" and item.resource not in others]


def created(requests: list[Request]) -> int:
    """Objects that were made."""
    return sum(request.code == 201 for request in requests if request.resource != "events")


def table(requests: list[Request]) -> Counter[str]:
    """Requests by verb and resource."""
    return Counter(f"{request.verb} {request.resource}" for request in requests)


def _request(entry: dict[str, Any]) -> Request:
    target = entry.get("objectRef", {})
    tail = f"/{target['subresource']}" if target.get("subresource") else ""
    return Request(
        verb=entry["verb"],
        resource=f"{target.get('resource', '')}{tail}",
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=entry.get("responseStatus", {}).get("code", 0),
        began=_seconds(entry["requestReceivedTimestamp"]),
        ended=_seconds(entry["stageTimestamp"]),
    )


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
