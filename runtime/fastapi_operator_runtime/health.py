"""`/livez`, `/readyz` and `/startupz`, handled before any other middleware.

Liveness checks only that the event loop runs: if it checked a database, a slow database would
restart healthy pods. Readiness is false until start-up is complete, and again after SIGTERM. Checks
of dependencies have a timeout and a cache, and are disabled by default: if the pods share a
database, such a check makes all of them unready at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_operator_runtime import responses, state

Check = Callable[[], Awaitable[object]]

LIVE_PATH = "/livez"
READY_PATH = "/readyz"
STARTED_PATH = "/startupz"
HEALTH_PATHS = frozenset({LIVE_PATH, READY_PATH, STARTED_PATH})
_ENDINGS = tuple(HEALTH_PATHS)  # to recognise other paths quickly


def is_probe(scope: MutableMapping[str, Any]) -> bool:
    """Returns whether this is a probe; use it in `FastAPI(telemetry={"exclude": is_probe})`."""
    path: str = scope.get("path", "")
    return path.endswith(_ENDINGS) and probe_path(scope) in HEALTH_PATHS


def probe_path(scope: MutableMapping[str, Any]) -> str:
    """Returns the path after the root path, which a server prepends if it has one."""
    path: str = scope.get("path", "")
    root = scope.get("root_path", "").rstrip("/")
    if not path.startswith(f"{root}/"):
        return path
    # A root path that ends with a slash doubles the slash of each path.
    return "/" + path.removeprefix(root).lstrip("/")


CHECK_TIMEOUT_SECONDS = 1.0
CHECK_CACHE_SECONDS = 2.0
"""How long the results of checks are reused, so that probes do not load a dependency."""


class Checks:
    """The checks of dependencies, with a timeout for each and a cache.

    Args:
        checks: Named coroutines that raise if a dependency is unusable; for readiness only.
    """

    def __init__(self, checks: Mapping[str, Check] | None) -> None:
        self._checks = dict(checks or {})
        self._failed: dict[str, str] = {}
        self._checked_at = float("-inf")
        self._lock = asyncio.Lock()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._checks)

    async def failed(self) -> dict[str, str]:
        """Returns the failed checks and the reason of each."""
        if not self._checks:
            return {}
        async with self._lock:
            if time.monotonic() - self._checked_at >= CHECK_CACHE_SECONDS:
                results = await asyncio.gather(*(self._run(name) for name in self._checks))
                self._failed = {name: reason for name, reason in results if reason is not None}
                self._checked_at = time.monotonic()
            return self._failed

    async def _run(self, name: str) -> tuple[str, str | None]:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await self._checks[name]()
        except TimeoutError:
            return name, f"no response within {CHECK_TIMEOUT_SECONDS:g} s"
        except Exception as error:  # a failed check is a response, not a crash
            return name, type(error).__name__
        return name, None


class HealthEndpoints:
    """Pure ASGI middleware that responds to the three probes.

    Args:
        app: The wrapped application.
        worker: State of this process.
        checks: Checks of dependencies, for readiness.
    """

    def __init__(self, app: ASGIApp, *, worker: state.Worker, checks: Checks) -> None:
        self.app = app
        self._worker = worker
        self._checks = checks

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Responds to a probe, or passes the request on, without a coroutine of its own."""
        if scope["type"] == "http" and scope["path"].endswith(_ENDINGS) and is_probe(scope):
            return self._respond(scope, send)
        return self.app(scope, receive, send)

    async def _respond(self, scope: Scope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await responses.send_json(send, 405, {"status": "method not allowed"})
            return
        status, body = await self._probe(probe_path(scope))
        await responses.send_json(send, status, body)

    async def _probe(self, path: str) -> tuple[int, dict[str, object]]:
        if path == LIVE_PATH:
            return 200, {"status": "live"}
        if not self._worker.started:
            return 503, {"status": "starting"}
        if path == STARTED_PATH:
            return 200, {"status": "started"}
        if self._worker.draining:
            return 503, {"status": "draining"}
        failed = await self._checks.failed()
        if failed:
            return 503, {"status": "unready", "failed": failed}
        return 200, {"status": "ready"}
