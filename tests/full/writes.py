"""Clients that write rows and read, at an even rate, and remember the acknowledged ones."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

# Of four requests, one creates an item.
_EACH_WRITES = 4
_TIMEOUT_SECONDS = 30


class Sent(NamedTuple):
    """One request.

    Attributes:
        ended: Seconds between the first request and the response.
        seconds: Its duration.
        row: The name of the item that it creates; empty if it only reads.
        outcome: The status, or the error.
    """

    ended: float
    seconds: float
    row: str
    outcome: str

    @property
    def succeeded(self) -> bool:
        """Whether the client got its request served."""
        return self.outcome in ("200", "201")


class Requests(list[Sent]):
    """All requests, in order of their responses."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self) / self[-1].ended

    @property
    def acknowledged(self) -> set[str]:
        """The rows of which a client knows that they exist."""
        return {sent.row for sent in self if sent.row and sent.succeeded}

    @property
    def failed(self) -> Counter[str]:
        """The failures by their outcome."""
        return Counter(sent.outcome for sent in self if not sent.succeeded)

    def longest_gap(self) -> float:
        """The longest time in seconds without a successful write."""
        ends = [0.0, *(sent.ended for sent in self if sent.row and sent.succeeded), self[-1].ended]
        return max(later - earlier for earlier, later in itertools.pairwise(ends))


@contextmanager
def writes(url: str, prefix: str, *, rate: float, clients: int = 48) -> Iterator[Requests]:
    """Sends requests to the sample shop until the end of the block, whatever the responses are.

    Args:
        url: The shop.
        prefix: The beginning of the name of each item.
        rate: Requests per second of all clients together.
        clients: Maximum number of simultaneous requests.
    """
    over, found, taken = threading.Event(), Requests(), itertools.count()
    began, address = time.monotonic(), urlsplit(url).netloc
    headers = {"Content-Type": "application/json"}

    def ask() -> None:
        connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)
        while not over.is_set():
            number = next(taken)
            if over.wait(max(0.0, began + number / rate - time.monotonic())):
                break
            row = "" if number % _EACH_WRITES else f"{prefix}-{number}"
            sent = time.monotonic()
            try:
                if row:
                    body = json.dumps({"name": row, "price_cents": 100})
                    connection.request("POST", "/items", body, headers)
                else:
                    connection.request("GET", "/items?limit=5")
                answer = connection.getresponse()
                answer.read()
                outcome = str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
                connection.close()
            ended = time.monotonic()
            found.append(Sent(ended - began, ended - sent, row, outcome))
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
