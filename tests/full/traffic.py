"""Clients that ask a service without a pause and remember what came back."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """What became of one request."""

    seconds: float
    """Since the first one."""
    outcome: str
    """The status, or what went wrong."""
    body: bytes = b""
    again: bool = False
    """Whether its connection had been closed meanwhile, so that it was asked on a new one."""


class Traffic(list[Answer]):
    """All answers, in the order in which they came."""

    @property
    def lost(self) -> list[Answer]:
        """What was not answered with 200."""
        return [answer for answer in self if answer.outcome != "200"]


@contextmanager
def traffic(
    url: str, *, clients: int = 2, pause: float = 0.02, keep: bool = False, host: str | None = None
) -> Iterator[Traffic]:
    """Asks for a URL for as long as the block goes on.

    Args:
        url: What is asked for.
        clients: Threads that ask one request after the other.
        pause: Seconds between two requests of a client.
        keep: Whether a client keeps its connection; else each request has one of its own.
        host: The Host header, where it is not the address.
    """
    over, found = threading.Event(), Traffic()
    target, began = urlsplit(url), time.monotonic()

    def ask() -> None:
        connection = http.client.HTTPConnection(target.netloc, timeout=10)
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
                    # What every client with a pool does with a connection that was closed idle.
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
