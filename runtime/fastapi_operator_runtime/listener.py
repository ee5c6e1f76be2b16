"""A private port of a pod, served by exactly one of its workers, in a thread of its own.

Every worker tries to bind the port, and one succeeds. The others retry every second, so that
another takes over if the holder ends. The thread has its own event loop: a response waits neither
for the application's requests nor for a slow client, and the number of connections is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
REQUEST_SECONDS = 5.0
"""Time for a client to send its request."""
RESPONSE_SECONDS = 10.0
"""Time for a client to read the response."""
REQUEST_MAX_BYTES = 16 * 2**10
CONNECTIONS_MAX = 64
LOOPBACK = "127.0.0.1"
TEXT = "text/plain; charset=utf-8"

Query = Mapping[str, list[str]]


class Response(NamedTuple):
    """The response of a page."""

    content_type: str
    body: bytes
    status: int = 200


Page = Callable[[Query, str], Response]
"""A page takes the parsed query and the Accept header.

For a ValueError, the response is 400 with its text."""


class Listener:
    """Serves one private port as soon as this worker can bind it.

    Args:
        variable: The variable with the port, for messages.
        port: The port.
        pages: The pages by path.
        loopback: Whether only processes of the pod can connect, and `kubectl port-forward`.
        exclusive: Whether pages take long: they run in another thread, one at a time, and further
            requests get 429 at once. Otherwise, requests are handled one after the other.
    """

    def __init__(
        self,
        variable: str,
        port: int,
        pages: Mapping[str, Page],
        *,
        loopback: bool = False,
        exclusive: bool = False,
    ) -> None:
        self._variable = variable
        self._port = port
        self._pages = dict(pages)
        self._loopback = loopback
        self._exclusive = exclusive
        self._busy = False
        self._open: dict[asyncio.StreamWriter, bool] = {}
        self._serving = False
        self._stopping = False
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._thread = threading.Thread(
            target=self._run, name=variable.lower().replace("_", "-"), daemon=True
        )

    @property
    def serving(self) -> bool:
        """Whether this worker holds the port."""
        return self._serving

    def start(self) -> None:
        """Starts trying to bind, and returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Releases the port, so that another worker can bind it."""
        with self._lock:
            self._stopping = True
            if self._loop is not None and self._wake is not None:
                self._loop.call_soon_threadsafe(self._wake.set)
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        # Not uvloop: the listener must work even if the server's loop does not.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            try:
                runner.run(self._bind_and_serve())
            finally:
                with self._lock:
                    self._loop = None

    async def _bind_and_serve(self) -> None:
        with self._lock:
            self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        warned = False
        while not self._stopping:
            try:
                bound = self._bind()
            except OSError as error:
                if error.errno != errno.EADDRINUSE and not warned:
                    logger.warning(
                        "%s=%d: cannot bind the port, will retry: %s",
                        self._variable,
                        self._port,
                        error,
                    )
                    warned = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), RETRY_SECONDS)
                continue
            await self._serve(bound, self._wake)

    def _bind(self) -> socket.socket:
        """Returns a listening socket; only one worker gets it."""
        if self._loopback:
            return socket.create_server((LOOPBACK, self._port))
        if _has_ipv6():
            address = ("::", self._port)
            return socket.create_server(address, family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("0.0.0.0", self._port))

    async def _serve(self, bound: socket.socket, wake: asyncio.Event) -> None:
        server = await asyncio.start_server(self._connected, sock=bound, limit=REQUEST_MAX_BYTES)
        self._serving = True
        try:
            await wake.wait()
        finally:
            self._serving = False
            server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await asyncio.sleep(0)  # lets the aborted connections end

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._admit(writer):
            writer.transport.abort()
            return
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            self._open[writer] = False
            method, response = await self._respond(head)
            writer.write(_encode(method, response))
            async with asyncio.timeout(RESPONSE_SECONDS):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            pass  # the client left, is too slow, or sent no request
        finally:
            del self._open[writer]
            writer.transport.abort()

    def _admit(self, writer: asyncio.StreamWriter) -> bool:
        """Counts the connection; at the limit, closes the oldest that has sent no request."""
        if len(self._open) >= CONNECTIONS_MAX:
            idle = next((other for other, waiting in self._open.items() if waiting), None)
            if idle is None:
                return False
            idle.transport.abort()
        self._open[writer] = True
        return True

    async def _respond(self, head: bytes) -> tuple[str, Response]:
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return "GET", _text(400, "not an HTTP/1 request")
        method = words[0]
        if method not in ("GET", "HEAD"):
            return method, _text(405, "only GET is supported")
        try:
            address = urlsplit(words[1])
        except ValueError:
            return method, _text(400, "not a valid address")
        page = self._pages.get(address.path)
        if page is None:
            return method, _text(404, "no such page")
        accept = next((line[7:].strip() for line in lines if line[:7].lower() == "accept:"), "")
        query = parse_qs(address.query)
        if not self._exclusive:
            return method, _call(page, query, accept)
        if self._busy:
            return method, _text(429, "another request is running; try again when it has ended")
        self._busy = True
        try:
            return method, await _call_in_thread(page, query, accept)
        finally:
            self._busy = False


def _call(page: Page, query: Query, accept: str) -> Response:
    try:
        return page(query, accept)
    except ValueError as error:
        return _text(400, str(error))
    except Exception:
        logger.exception("a page of a private port failed")
        return _text(500, "the page failed; see the log of the process")


async def _call_in_thread(page: Page, query: Query, accept: str) -> Response:
    """Runs a page in a daemon thread, for which the end of the process does not wait."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Response] = loop.create_future()

    def deliver(response: Response) -> None:
        if not result.done():
            result.set_result(response)

    def run() -> None:
        response = _call(page, query, accept)
        with contextlib.suppress(RuntimeError):  # the listener has ended
            loop.call_soon_threadsafe(deliver, response)

    threading.Thread(target=run, name="private-page", daemon=True).start()
    return await result


def _text(status: int, text: str) -> Response:
    return Response(TEXT, f"{text}\n".encode(), status)


def _encode(method: str, response: Response) -> bytes:
    head = (
        f"HTTP/1.1 {response.status} {http.HTTPStatus(response.status).phrase}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else response.body)


def _has_ipv6() -> bool:
    if not socket.has_dualstack_ipv6():
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
