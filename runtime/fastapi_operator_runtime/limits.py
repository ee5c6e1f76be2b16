"""Limits of the work in one process: requests in flight and threads.

The server's own `--limit-concurrency` also counts idle keep-alive connections. If a proxy keeps
connections open, that would shed idle traffic. The limit here counts requests, until their response
begins: an open stream is idle most of the time.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Send

from fastapi_operator_runtime import ages, metrics, priorities, state, waits

if TYPE_CHECKING:
    from fastapi_operator_runtime import requests

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = (1, 3)
"""Bounds of the random Retry-After, so that clients that obey it do not retry all at once."""

TARGET_SECONDS = 0.1
"""Wait above which requests queue, if none of a window waited less."""
DEADLINE_SECONDS = 5.0
"""Age above which a request is not worth starting, even if no others wait: its client may have
left. A proxy that tries another pod needs a part of it."""
WINDOW_SECONDS = 0.25
DECREASE, INCREASE, AGE_INCREASE = 0.8, 0.1, 1.5
PRIORITY_SHARE = 0.5
"""Part of the largest limit that requests with priority may use beside all others. The operator's
proxy sends a pod as many when all other slots are used, so the reserve does not decrease."""
LOG_SECONDS = 1.0

Reason = Literal["limit", "queue", "deadline", "database"]
SHED = "fastapi_operator_shed"
"""The entry of the scope with the reason for which a request was shed."""

_DETAILS: dict[Reason, str] = {
    "limit": "the process has as many requests in flight as it can serve in time",
    "queue": "requests wait too long for the process",
    "deadline": "the request has waited too long for the process",
    "database": "requests wait too long for a connection to the database",
}


class Overloaded(Exception):
    """Raised in place of waiting for something that cannot be there in time.

    Unless the application handles it, the response is 503 with Retry-After.
    """


class AdaptiveLimit:
    """Which requests the process can serve in time: how many at once, and up to which age.

    If requests wait for the event loop, for a CPU or for a connection of the database, the limit
    decreases by a fifth every quarter of a second, from the second one on; otherwise it increases
    by a tenth. So it follows what the process can do now, whatever a request costs. While requests
    wait, only young ones are admitted. If all are older, because the process rarely gets a CPU, the
    youngest ones are.

    Args:
        least: The lower bound.
        most: The upper bound, and the first value.
        collect: Returns the longest wait since its last call.
    """

    def __init__(self, least: int, most: int, collect: Callable[[], float] = waits.collect) -> None:
        self._least, self._most, self._collect = min(least, most), most, collect
        self._reserve = max(1, int(PRIORITY_SHARE * most))
        self.value = most
        self._waited = False
        self._age_seconds = DEADLINE_SECONDS
        self._window_ends = 0.0
        self._peak = self._admitted = 0
        self._youngest = float("inf")

    def reason(
        self,
        in_flight: int,
        *,
        age: float | None,
        priority: bool,
        now: float,
        preferred: int = 0,
    ) -> Reason | None:
        """Returns why a further request is shed; None if it is admitted.

        Args:
            in_flight: Requests in flight.
            age: The age of the request, if known.
            priority: Whether it is shed last.
            now: The time, on the clock of `time.perf_counter`.
            preferred: Requests in flight that are shed last.
        """
        if now >= self._window_ends:
            self._adapt(now)
        if in_flight >= self._peak:
            self._peak = in_flight + 1
        if age is not None and self._least < self._most:
            self._youngest = min(self._youngest, age)
            if age > DEADLINE_SECONDS:
                return "deadline"
            if age > self._age_seconds and not priority:
                return "queue"
        # While the limit decreases, others can have more than it, but not the reserve.
        if in_flight >= self.value and not (
            priority and (preferred < self._reserve or in_flight < self.value + self._reserve)
        ):
            return "limit"
        self._admitted += 1
        return None

    def sample(self, instruments: metrics.Instruments) -> None:
        """Updates the gauge of the limit."""
        instruments.in_flight_limit.set(self.value)

    def _adapt(self, now: float) -> None:
        waited = self._collect() > TARGET_SECONDS
        if waited and self._waited:
            # Far above what is in flight, the limit would have no effect for a while.
            used = min(self.value, max(self._peak, self._least))
            self.value = max(self._least, int(DECREASE * used))
        elif not waited:
            self.value = min(self._most, self.value + max(1, int(INCREASE * self.value)))
        self._adapt_age(waited)
        self._waited = waited
        self._peak = self._admitted = 0
        self._youngest = float("inf")
        self._window_ends = now + WINDOW_SECONDS

    def _adapt_age(self, waited: bool) -> None:
        """Admits only young requests from the second window of waits on, and then ever older ones.

        A single stall, for example a blocking call, makes some requests old, but is over. After an
        overload it returns at once if all old requests are admitted again.
        """
        if not waited:
            self._age_seconds = min(DEADLINE_SECONDS, AGE_INCREASE * self._age_seconds)
        elif self._waited and self._admitted:
            self._age_seconds = TARGET_SECONDS
        elif self._waited and self._youngest < DEADLINE_SECONDS:
            self._age_seconds = AGE_INCREASE * self._youngest


class Limiter:
    """Decides whether a request is served, and counts those in flight.

    While requests queue, old ones are shed, so that the young ones are served in time. A request
    above the limit, or older than its deadline, is shed before any work.

    Args:
        worker: State of this process.
        limit: The limit.
        read_ages: Whether a proxy in front sets X-Request-Start; a client must not.
        priority_paths: Paths that are shed last, as in `spec.server.priorities`.
        on_shed: Called with the reason of each shed request.
    """

    def __init__(
        self,
        *,
        worker: state.Worker,
        limit: AdaptiveLimit,
        read_ages: bool = False,
        priority_paths: Sequence[str] = (),
        on_shed: Callable[[Reason], None] | None = None,
    ) -> None:
        self._worker = worker
        self._limit = limit
        self._ages = ages.Ages() if read_ages else None
        self._priorities = priorities.Priorities(priority_paths) if priority_paths else ()
        self._preferred = 0
        self._on_shed = on_shed
        self._log = ShedLog()

    def admits(self, request: requests.Request, headers: Mapping[bytes, bytes]) -> bool:
        """Counts the request until `leave`, or sheds it: its scope has the reason then."""
        age = None
        if self._ages is not None and (sent := headers.get(ages.HEADER)) is not None:
            age = self._ages.age(sent)
            if age is not None:
                waits.report("proxy", age)
        request.priority = request.scope in self._priorities
        reason = self._limit.reason(
            self._worker.in_flight,
            age=age,
            priority=request.priority,
            now=request.began_at,
            preferred=self._preferred,
        )
        if reason is not None:
            self._shed(request, reason)
            return False
        request.limiter = self
        self._worker.in_flight += 1
        self._preferred += request.priority
        return True

    def leave(self, request: requests.Request) -> None:
        """Stops counting a request."""
        request.limiter = None
        self._worker.in_flight -= 1
        self._preferred -= request.priority

    def _shed(self, request: requests.Request, reason: Reason) -> None:
        request.scope[SHED] = reason
        if self._on_shed is not None:
            self._on_shed(reason)
        self._log.add(reason, self._limit.value)


class ShedLog:
    """Logs shed requests by sample: one line a second with their numbers."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._logged_at = float("-inf")

    def add(self, reason: Reason, limit: int) -> None:
        """Counts one, and logs if the last line is old enough."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            numbers = ", ".join(f"{count} by {name}" for name, count in self._counts.items())
            logger.warning("requests were shed with 503: %s; the limit is %d", numbers, limit)
            self._counts.clear()
            self._logged_at = now


def _responses(reason: Reason) -> list[tuple[Message, Message]]:
    """Returns the prepared messages, one pair for each time after which to retry."""
    problem = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": f"{_DETAILS[reason]}; try again shortly",
    }
    body = json.dumps(problem).encode()
    least, most = RETRY_AFTER_SECONDS
    return [
        (
            {
                "type": "http.response.start",
                "status": 503,
                "headers": [
                    (b"content-type", b"application/problem+json"),
                    (b"content-length", str(len(body)).encode()),
                    (b"cache-control", b"no-store"),
                    (b"retry-after", str(seconds).encode()),
                ],
            },
            {"type": "http.response.body", "body": body},
        )
        for seconds in range(least, most + 1)
    ]


_RESPONSES = {reason: _responses(reason) for reason in _DETAILS}


async def respond(send: Send, reason: Reason) -> None:
    """Responds 503 to a request that is shed."""
    start, body = random.choice(_RESPONSES[reason])
    await send(dict(start))  # a copy, because outer middleware changes it
    await send(dict(body))


async def respond_overloaded(_request: Request, _error: Exception) -> Response:
    """Handles `Overloaded`, if the application does not."""
    start, body = random.choice(_RESPONSES["database"])
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Response(body["body"], start["status"], headers)


def set_thread_tokens(tokens: int) -> None:
    """Sets the number of threads for `def` endpoints, file responses and uploads.

    Call it inside the running event loop: AnyIO has one limiter per loop.
    """
    anyio.to_thread.current_default_thread_limiter().total_tokens = tokens
