"""Clients that send requests to a service without a pause and record the responses."""

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """The result of one request."""

    seconds: float
    """Since the first one."""
    outcome: str
    """The status, or the error."""
    body: bytes = b""
    again: bool = False
    """Whether its connection had been closed, so that it was sent again on a new one."""


class Traffic(list[Answer]):
    """All results, in order of arrival."""

    @property
    def lost(self) -> list[Answer]:
        """Returns the results other than 200."""
        return [answer for answer in self if answer.outcome != "200"]


class _Secure(http.client.HTTPConnection):
    """A connection to an address whose certificate is that of a host."""

    def __init__(self, address: str, context: ssl.SSLContext, host: str) -> None:
        super().__init__(address, 443, timeout=10)
        self._context, self._name = context, host

    def connect(self) -> None:
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._name)


@contextmanager
def traffic(
    url: str,
    *,
    clients: int = 2,
    pause: float = 0.02,
    keep: bool = False,
    host: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Traffic]:
    """Requests a URL until the end of the block.

    Args:
        url: The URL.
        clients: Threads, each with one request at a time.
        pause: Seconds between two requests of a client.
        keep: Whether a client keeps its connection; else each request has one of its own.
        host: The Host header, if it is not the address.
        tls: For https: the certificates to trust. The server's must be valid for the host.
    """
    over, found = threading.Event(), Traffic()
    target, began = urlsplit(url), time.monotonic()

    def ask() -> None:
        connection = http.client.HTTPConnection(target.netloc, timeout=10)
        if tls is not None:
            connection = _Secure(target.netloc, tls, host or target.netloc)
        headers = {"Host": host or target.netloc} | ({} if keep else {"Connection": "close"})

        def one() -> tuple[str, bytes]:
            connection.request("GET", target.path or "/", headers=headers)
            answer = connection.getresponse()
            return str(answer.status), answer.read()

        while not over.wait(pause):
            again, kept = False, connection.sock is not None
            try:
                try:
                    outcome, body = one()
                except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                    # As every client with a pool does if an idle connection was closed.
                    if not kept:
                        raise
                    again = True
                    connection.close()
                    outcome, body = one()
            except (OSError, http.client.HTTPException) as error:
                outcome, body = repr(error), b""
                connection.close()
            found.append(Answer(time.monotonic() - began, outcome, body, again))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()
