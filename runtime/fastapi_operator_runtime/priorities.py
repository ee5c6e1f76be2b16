"""Paths whose requests are shed last, written as in `spec.server.priorities` of the operator."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any


class Priorities:
    """Recognises requests with priority: those of the paths, and of all paths below them.

    Args:
        paths: For example `/checkout` or `/orders/{order_id}/payment`; a parameter is any segment.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        found = [_expression(path) for path in paths]
        self._pattern = re.compile(f"(?:{'|'.join(found)})(?:/|$)") if found else None

    def __contains__(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request has priority; its path counts without the root path of the server."""
        if self._pattern is None:
            return False
        path, root = scope["path"], scope.get("root_path", "")
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        return self._pattern.match(path) is not None


def _expression(path: str) -> str:
    """Returns the regular expression of a path, normalised as the operator does."""
    normal = "/" + posixpath.normpath(path).lstrip("/")
    if normal == "/":
        return ""
    parts = re.split(r"\{[^}]*\}", normal)
    return "[^/]+".join(map(re.escape, parts))
