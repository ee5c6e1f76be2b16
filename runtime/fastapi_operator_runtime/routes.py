"""The route template of a finished request, including prefixes of routers and mounts.

Since FastAPI 0.137, `scope["route"].path` is the path inside its router: if two routers have equal
inner paths, they would share one series. FastAPI's own entry of the scope has the full template.
"""

from __future__ import annotations

from typing import Any

from starlette.types import Scope


def template(scope: Scope) -> str | None:
    """Returns the matched template, for example `/api/v1/items/{item_id}`, or None."""
    path = _route_path(scope)
    prefix = _mount_prefix(scope) if "app_root_path" in scope else ""
    if path is None:
        return f"{prefix}/{{path}}" if prefix else None
    return prefix + path


def _route_path(scope: Scope) -> str | None:
    route = scope.get("route")
    context = scope.get("fastapi", {}).get("effective_route_context")
    # The context of an outer router stays in the scope if a mounted application matches.
    if context is not None and route is not None and context.original_route is route:
        inner = getattr(context, "starlette_route", None)
        return _text(getattr(inner, "path_format", None) or getattr(context, "path_format", None))
    return _text(getattr(route, "path_format", None))


def _mount_prefix(scope: Scope) -> str:
    """Returns the path of the passed mounts, with parameters in place of their values."""
    prefix = scope["root_path"].removeprefix(scope["app_root_path"])
    names = {str(value): name for name, value in scope.get("path_params", {}).items()}
    parts = (f"{{{names[part]}}}" if part in names else part for part in prefix.split("/"))
    return "/".join(parts)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
