"""An open loop: requests are sent on schedule, whether or not earlier ones completed."""

import asyncio
import collections
import concurrent.futures
import itertools
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from tests.resilience.client import BROKEN, REFUSED, TIMEOUT, Connection, Ending, Request

TIMEOUT_SECONDS = 30
# One of this many requests uses a new connection, which is closed afterwards.
NEW_CONNECTION_EACH = 5

_SOON_SECONDS = 1


@dataclass(frozen=True)
class Answer:
    """One request and how it ended.

    Attributes:
        request: The request.
        at: When it was due, on the monotonic clock.
        seconds: From then to the end of its response.
        new: Whether it came on a connection of its own.
        ending: How it ended.
        reference: Its id in the logs of proxy and app.
        connection: The history of its connection, before this request.
    """

    request: Request
    at: float
    seconds: float
    new: bool
    ending: Ending
    reference: str = ""
    connection: str = ""

    @property
    def answered(self) -> bool:
        """Returns whether the request succeeded."""
        return self.ending.outcome[0] in "23"


class Load:
    """A constant rate of requests from a thread of its own, between enter and exit.

    Args:
        host: The host of the requests.
        requests: The requests.
        rate: Requests per second.
        port: The port to connect to.
        address: The address to connect to, if it is not the host.
        burst: So many requests are due at once, at the same rate.

    Attributes:
        answers: The requests that have ended.
        late_seconds: The longest time by which a request was sent late, for want of a CPU here.
    """

    def __init__(
        self,
        host: str,
        requests: Iterator[Request],
        *,
        rate: float,
        port: int = 80,
        address: str = "",
        burst: int = 1,
    ) -> None:
        self.answers: list[Answer] = []
        self.late_seconds = 0.0
        self._host = host
        self._address = address or host
        self._port = port
        self._requests = requests
        self._rate = rate
        self._burst = burst
        self._idle: collections.deque[Connection] = collections.deque()
        self._stop = threading.Event()
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "load")

    def __enter__(self) -> "Load":
        self._running = self._thread.submit(lambda: asyncio.run(self._run()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.shutdown()
        # A load that failed has not counted since then.
        self._running.result()

    def wait_for(self, requests: int) -> None:
        """Waits until so many requests have ended."""
        while len(self.answers) < requests and not self._running.done():
            time.sleep(0.5)

    def carried(self, seconds: float) -> bool:
        """Returns whether all requests of the last seconds got a response in time."""
        since = time.monotonic() - seconds
        recent = [answer for answer in self.answers if answer.at >= since]
        soon = sum(answer.answered and answer.seconds < _SOON_SECONDS for answer in recent)
        return soon == len(recent) >= (seconds - _SOON_SECONDS) * self._rate

    async def _run(self) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in itertools.count():
                if self._stop.is_set():
                    break
                due = began + number // self._burst * self._burst / self._rate
                await asyncio.sleep(max(0, due - time.monotonic()))
                self.late_seconds = max(self.late_seconds, time.monotonic() - due)
                new = number % NEW_CONNECTION_EACH == 0
                tasks.create_task(self._ask(next(self._requests), due, new=new))
        for connection in self._idle:
            connection.close()

    async def _ask(self, request: Request, due: float, *, new: bool) -> None:
        reference = secrets.token_hex(8)
        steps: list[str] = []
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                ending = await self._ended(request, reference, steps, new=new)
        except TimeoutError:
            ending = Ending(TIMEOUT)
        seconds = time.monotonic() - due
        self.answers.append(Answer(request, due, seconds, new, ending, reference, "; ".join(steps)))

    async def _ended(
        self, request: Request, reference: str, steps: list[str], *, new: bool
    ) -> Ending:
        """Sends a request and returns its ending; ``steps`` shows where it was until then."""
        kept = None if new else self._kept()
        steps.append("kept" if kept else "new")
        try:
            connection = kept or await Connection.opened(self._address, self._port)
        except OSError as error:
            return Ending(REFUSED, repr(error))
        steps.append(connection.history())
        ending = Ending(BROKEN)
        try:
            encoded = request.encoded(self._host, last=new, reference=reference)
            ending = await connection.exchange(encoded)
        except (OSError, asyncio.IncompleteReadError) as error:
            ending = Ending(BROKEN, repr(error))
        finally:
            if ending.reusable and not new:
                self._idle.append(connection)
            else:
                connection.close()
        return ending

    def _kept(self) -> Connection | None:
        """The connection that rested longest, among those that the server has not closed."""
        while self._idle:
            connection = self._idle.popleft()
            if connection.is_open:
                return connection
            connection.close()
        return None
