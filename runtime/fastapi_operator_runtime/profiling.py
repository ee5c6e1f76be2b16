"""Inspection of a running process: stacks, a sampling profile, one request.

A profiler outside the process needs SYS_PTRACE, which a restricted pod does not have. These pages
read the interpreter's own frames. Their port is on loopback only, so that a client needs the right
to `pods/portforward`. Time, size and the share of CPU are bounded. If there are several workers,
the pages show the worker that holds the port.
"""

from __future__ import annotations

import asyncio
import collections
import cProfile
import io
import os
import pstats
import sys
import threading
import time
import traceback
from collections.abc import Awaitable
from types import FrameType

from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_operator_runtime import listener, routes

MAX_SECONDS = 60.0
MAX_HERTZ = 1000.0
MAX_BYTES = 8 * 2**20
MAX_STACKS = 20_000
"""Different stacks of a profile; further ones are counted together."""
MAX_FRAMES = 200
MAX_SHARE = 0.1
"""Share of the time that sampling may take: with many threads, it samples less often."""

OTHER = "other stacks"

IDLE_FILES = frozenset({"selectors.py", "threading.py", "queue.py"})
IDLE_FUNCTIONS = frozenset(
    {
        ("runners.py", "run"),  # uvloop waits in C, called by the runner.
        ("thread.py", "_worker"),
        ("multiprocess.py", "always_pong"),
        ("connection.py", "_recv"),
    }
)
"""The innermost frame of a thread that waits for work: its file, or its file and function."""

AWAITABLES = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
"""Attributes of coroutines, generators and asynchronous generators: frame, and what is below."""

Query = listener.Query


class Profiler:
    """The pages of one worker process. Create it in the thread that runs the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, requests: RequestProfiler) -> None:
        self._loop = loop
        self._requests = requests

    def pages(self) -> dict[str, listener.Page]:
        """Returns the paths and their functions, for the listener."""
        return {
            "/debug/modules": self.modules,
            "/debug/stacks": self.stacks,
            "/debug/profile": self.profile,
            "/debug/request": self.request,
        }

    def modules(self, _query: Query, _accept: str) -> listener.Response:
        """Returns the imported modules, one per line, which use memory and start-up time."""
        return _text("\n".join(sorted(sys.modules)) + "\n")

    def stacks(self, _query: Query, _accept: str) -> listener.Response:
        """Returns the present stack of every thread and every task."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        parts = [f"process {os.getpid()}\n"]
        for ident, frame in sys._current_frames().items():
            parts.append(f"\nthread {names.get(ident, ident)}\n")
            parts += traceback.format_stack(frame)
        for task in list(asyncio.all_tasks(self._loop))[:MAX_STACKS]:
            parts.append(f"\ntask {task.get_name()}\n")
            parts += _awaited(task.get_coro())
        return _text("".join(parts))

    def profile(self, query: Query, _accept: str) -> listener.Response:
        """Samples all threads for `seconds` (5) at `hertz` (100); `idle=1` includes idle ones.

        The output has one line per stack, `outer;inner count`, which flame graph tools read.
        """
        seconds = _number(query, "seconds", 5.0, MAX_SECONDS)
        interval = 1.0 / _number(query, "hertz", 100.0, MAX_HERTZ)
        idle = query.get("idle", ["0"])[0] == "1"
        own = threading.get_ident()
        counts: collections.Counter[str] = collections.Counter()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.thread_time()
            for ident, frame in sys._current_frames().items():
                if ident != own and (idle or not _is_idle(frame)):
                    stack = _collapse(frame)
                    counts[stack if stack in counts or len(counts) < MAX_STACKS else OTHER] += 1
            time.sleep(max(interval, (time.thread_time() - began) / MAX_SHARE))
        lines = [f"{stack} {count}" for stack, count in counts.most_common()]
        return _text("\n".join(lines) + "\n")

    def request(self, query: Query, _accept: str) -> listener.Response:
        """Runs the next request of `route` under cProfile, and returns its profile."""
        seconds = _number(query, "seconds", 10.0, MAX_SECONDS)
        return _text(self._requests.next(query.get("route", [""])[0], seconds))


class RequestProfiler:
    """Pure ASGI middleware that runs one request under cProfile on demand.

    While it is enabled, cProfile measures everything in the thread: under load, also steps of other
    requests. If the process is busy, use the sampling profile.
    """

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self._wanted: str | None = None
        self._ends_at = 0.0
        self._result: str | None = None
        self._done = threading.Event()
        self._turn = threading.Lock()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Runs the request, under cProfile if it is the expected one."""
        assert self.app is not None
        if self._wanted is None or scope["type"] != "http":
            return self.app(scope, receive, send)
        return self._run_profiled(self.app, self._wanted, scope, receive, send)

    async def _run_profiled(
        self, app: ASGIApp, wanted: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        profile = cProfile.Profile()
        self._wanted = None
        try:
            profile.enable()
        except ValueError:  # another profiler is active in this process
            await app(scope, receive, send)
            return
        # A stream can last forever, and the profiler slows down every other request.
        rest = self._ends_at - time.monotonic()
        stop = asyncio.get_running_loop().call_later(max(0.0, rest), profile.disable)
        try:
            await app(scope, receive, send)
        finally:
            stop.cancel()
            profile.disable()
            route = routes.template(scope) or ""
            if wanted in ("", route):
                self._result = f"{scope['method']} {route}\n{_report(profile)}"
                self._done.set()
            elif time.monotonic() < self._ends_at:
                self._wanted = wanted  # another route: the next one, then

    def next(self, route: str, seconds: float) -> str:
        """Waits for a request of `route` (any if empty) and returns its report.

        Raises:
            ValueError: No request arrived within `seconds`.
        """
        with self._turn:
            self._done.clear()
            self._ends_at = time.monotonic() + seconds
            self._wanted = route
            try:
                if not self._done.wait(seconds):
                    raise ValueError(f"no request of {route or 'any route'} in {seconds:g} s")
            finally:
                self._wanted = None
            return self._result or ""


def _number(query: Query, name: str, default: float, largest: float) -> float:
    text = query.get(name, [str(default)])[0]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= largest:
        raise ValueError(f"{name}={text[:20]}: must be a number above 0, at most {largest:g}")
    return value


def _awaited(awaitable: object) -> list[str]:
    """Returns lines for each coroutine from a task to the object that it awaits, outermost first.

    `Task.get_stack` has only the outermost: a waiting coroutine has no frame below it.
    """
    lines = []
    while awaitable is not None:
        for frame_name, next_name in AWAITABLES:
            frame = getattr(awaitable, frame_name, None)
            if frame is not None:
                code = frame.f_code
                lines.append(f'  File "{code.co_filename}", line {frame.f_lineno}, ')
                lines.append(f"in {code.co_qualname}\n")
                awaitable = getattr(awaitable, next_name)
                break
        else:
            break
    return lines


def _is_idle(frame: FrameType) -> bool:
    code = frame.f_code
    file = os.path.basename(code.co_filename)
    return file in IDLE_FILES or (file, code.co_name) in IDLE_FUNCTIONS


def _text(text: str) -> listener.Response:
    """Returns a text, cut after its last whole line within the limit."""
    body = text.encode(errors="replace")
    if len(body) > MAX_BYTES:
        body = body[: body.rindex(b"\n", 0, MAX_BYTES) + 1]
    return listener.Response(listener.TEXT, body)


def _collapse(frame: FrameType | None) -> str:
    names: list[str] = []
    while frame is not None and len(names) < MAX_FRAMES:
        code = frame.f_code
        names.append(f"{os.path.basename(code.co_filename)}:{code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return ";".join(reversed(names))


def _report(profile: cProfile.Profile) -> str:
    out = io.StringIO()
    pstats.Stats(profile, stream=out).sort_stats("cumulative").print_stats(60)
    return out.getvalue()
