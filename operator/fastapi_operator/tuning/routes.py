"""How the proxy handles each path: the table from which its configuration is printed.

A path includes all paths below it. The most specific path decides how a request is handled.
Privacy, rate limits and priority of the paths above it apply as well. A path can have parameters,
for example ``/chats/{}/stream``.
"""

import posixpath
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures

ALL = "/"
# Any one segment of a path.
ANY = "{}"
# More would be a mistake, and take long to compute.
_MAX_ROUTES = 256


class Handling(StrEnum):
    """Who serves a request, and how the response is sent."""

    APP = "app"
    STREAM = "stream"
    CACHE = "cache"
    STATIC = "static"


@dataclass(frozen=True)
class Route:
    """How the proxy handles a path.

    Attributes:
        path: The path, normalised and without a trailing slash; ``/`` is all paths, and ``{}`` is
            any segment.
        handling: Who serves its requests.
        private: Whether clients of the main entry get no response.
        open_ports: The ports of the proxy at which it is served; None is every port.
        limited: Whether the rate limit counts its requests.
        reserved: Whether its requests get a slot of the reserve if no other one is free.
        seconds: How long a response is fresh: in the proxy's cache, or at clients (static).
        directory: Directory of the app's image that holds the static files.
    """

    path: str
    handling: Handling = Handling.APP
    private: bool = False
    open_ports: tuple[int, ...] | None = None
    limited: bool = False
    reserved: bool = False
    seconds: int = 0
    directory: str = ""

    def pattern(self, root_path: str = "") -> str:
        """Returns a regular expression for the path and all below it, not for a mere prefix.

        A private or limited path also matches with the app's root path in front, because some
        servers remove a root path that is still there.
        """
        if self.path == ALL:
            return "^/"
        guarded = self.private or self.limited
        root = f"(?:{_literal(root_path)})?" if guarded and root_path else ""
        return f"^{root}{_literal(self.path)}(/|$)"


def routes(
    proxy: Proxy,
    exposure: Exposure,
    static_max_age_seconds: int = 0,
    priorities: Iterable[str] = (),
) -> tuple[Route, ...]:
    """Returns the table, most specific path first, so that the first match applies."""
    handled = {route.path: route for _, route in _handled(proxy, static_max_age_seconds)}
    private = {normal(path) for path in exposure.private_paths or ()}
    limited = _limited(proxy)
    preferred = {normal(path) for path in priorities}
    entered = {normal(path) for entry in exposure.entries or () for path in entry.paths or ()}
    known = _with_overlaps({ALL, *handled, *private, *limited, *preferred, *entered})
    return tuple(
        Route(
            path=path,
            handling=nearest.handling,
            private=(hidden := any(covers(outer, path) for outer in private)),
            open_ports=_open_ports(exposure, path, private=hidden),
            limited=any(covers(outer, path) for outer in limited),
            reserved=nearest.handling in (Handling.APP, Handling.CACHE)
            and any(covers(outer, path) for outer in preferred),
            seconds=nearest.seconds,
            directory=nearest.directory if nearest.path == path else "",
        )
        for path in sorted(known, key=_specificity)
        for nearest in (_nearest(path, handled),)
    )


def entry_ports(exposure: Exposure) -> dict[str, int]:
    """Returns the proxy's port of each further entry, by name.

    A port depends on the name alone. Otherwise a new entry would get the port of another one, and
    until its Service or a pod has changed, clients of one entry would reach the other.
    """
    return {
        entry.name: figures.ENTRY_PORT_FIRST + zlib.crc32(entry.name.encode()) % figures.ENTRY_PORTS
        for entry in exposure.entries or ()
    }


def _open_ports(exposure: Exposure, path: str, *, private: bool) -> tuple[int, ...] | None:
    """Returns the ports at which a path is served; None is all of them."""
    ports, record = entry_ports(exposure), Part.PROXY.record.ports
    found = [] if private else [record["http"], record["https"]]
    for entry in exposure.entries or ():
        of_entry = [normal(item) for item in entry.paths or ()]
        if any(covers(outer, path) for outer in of_entry) or not (of_entry or private):
            found.append(ports[entry.name])
    return None if len(found) == len(ports) + 2 else tuple(sorted(found))


def route_problems(
    proxy: Proxy, exposure: Exposure, priorities: Iterable[str] = ()
) -> Iterator[Problem]:
    """Reports paths that contradict each other, or that leave no path to the app."""
    handled = list(_handled(proxy, 0))
    seen = Counter(route.path for _, route in handled)
    for field, route in handled:
        if route.path == ALL and route.handling is Handling.STATIC:
            yield _error(field, "/ leaves no path to the app", "set a path, for example /static")
        elif seen[route.path] > 1:
            others = sorted({other.handling for _, other in handled if other.path == route.path})
            yield _error(
                field,
                f"duplicate path {route.path} ({', '.join(others)})",
                "use each path once: in streamingPaths, cache or static",
            )
    if len(routes(proxy, exposure, priorities=priorities)) > _MAX_ROUTES:
        yield _error(
            "spec.proxy.streamingPaths" if proxy.streaming_paths else "spec.server.priorities",
            f"paths with parameters overlap in more than {_MAX_ROUTES} ways",
            "use fewer paths with parameters, or longer literal parts before them",
        )
    for index, path in enumerate(exposure.private_paths or ()):
        if normal(path) == ALL:
            field = f"spec.exposure.privatePaths[{index}]"
            yield _error(field, "/ hides the whole service", "set the paths that are private")


def normal(path: str) -> str:
    """Returns a path as the proxy sees it: dots and double slashes resolved, no parameter names."""
    return "/" + re.sub(r"\{[^}]*\}", ANY, posixpath.normpath(path).lstrip("/"))


def covers(outer: str, path: str) -> bool:
    """Returns whether every request for ``path`` is one for ``outer`` or below it."""
    above, below = _segments(outer), _segments(path)
    matched = zip(above, below, strict=False)
    return len(above) <= len(below) and all(a in (ANY, b) for a, b in matched)


def _handled(proxy: Proxy, static_max_age_seconds: int) -> Iterator[tuple[str, Route]]:
    """Yields each path that streamingPaths, cache or static name, with its field."""
    for index, path in enumerate(proxy.streaming_paths or ()):
        yield f"spec.proxy.streamingPaths[{index}]", Route(normal(path), Handling.STREAM)
    for index, cached in enumerate(proxy.cache.routes if proxy.cache else ()):
        route = Route(normal(cached.path), Handling.CACHE, seconds=cached.seconds)
        yield f"spec.proxy.cache.routes[{index}].path", route
    for index, files in enumerate(proxy.static or ()):
        age = files.max_age_seconds
        yield (
            f"spec.proxy.static[{index}].path",
            Route(
                normal(files.path),
                Handling.STATIC,
                seconds=static_max_age_seconds if age is None else age,
                directory=files.directory,
            ),
        )


def _literal(path: str) -> str:
    """Returns the expression for a path; its special characters are dots and parameters."""
    return path.replace(".", "[.]").replace(ANY, "[^/]+")


def _limited(proxy: Proxy) -> set[str]:
    if proxy.rate_limit is None:
        return set()
    paths = proxy.rate_limit.paths
    return {ALL} if paths is None else {normal(path) for path in paths}


def _nearest(path: str, handled: dict[str, Route]) -> Route:
    covering = [outer for outer in handled if covers(outer, path)]
    return handled[min(covering, key=_specificity)] if covering else Route(ALL)


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _specificity(path: str) -> tuple[int, int, int, str]:
    """Sorts a path before the paths that cover it."""
    segments = _segments(path)
    return -len(segments), segments.count(ANY), -len(path), path


def _with_overlaps(paths: set[str]) -> set[str]:
    """Adds the paths that match where two others overlap, so that one path decides each request.

    For example ``/chats/{}/stream`` and ``/chats/admin`` overlap in ``/chats/admin/stream``.
    """
    known, fresh = set(paths), set(paths)
    while fresh and len(known) <= _MAX_ROUTES:
        pairs = ((a, b) for a in sorted(fresh) for b in sorted(known) if ANY in a + b)
        found = {both for a, b in pairs if (both := _overlap(a, b)) is not None}
        fresh = found - known
        known |= fresh
    return known


def _overlap(one: str, other: str) -> str | None:
    """Returns the path of all requests that match both; None if there is none."""
    longer, shorter = sorted((_segments(one), _segments(other)), key=len, reverse=True)
    shorter = shorter + [ANY] * (len(longer) - len(shorter))
    if any(ANY not in (a, b) and a != b for a, b in zip(longer, shorter, strict=True)):
        return None
    return "/" + "/".join(b if a == ANY else a for a, b in zip(longer, shorter, strict=True))


def _error(path: str, message: str, remedy: str) -> Problem:
    return Problem(
        severity=Severity.ERROR, stage=Stage.PLAN, path=path, message=message, remedy=remedy
    )
