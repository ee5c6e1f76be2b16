"""Requests at an even rate, counted by request and response."""

import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit


class Request(NamedTuple):
    """One kind of request, and the route that the app takes it for."""

    path: str
    route: str
    method: str = "GET"
    body: bytes | None = None


class Load(NamedTuple):
    """The result of a generator."""

    answers: Counter[tuple[str, str]]
    """Requests by route and status; without a response, the status is the error."""
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.answers.total() / self.seconds


def generate(
    url: str, requests: Sequence[Request], *, rate: float, seconds: float, clients: int = 16
) -> Load:
    """Sends the requests in turn, at a rate, for a time; each client keeps its connection.

    Args:
        url: The service.
        requests: The requests, sent in order and repeated.
        rate: Requests per second of all clients together, if responses are fast enough.
        seconds: How long.
        clients: Maximum number of simultaneous requests.
    """
    answers: Counter[tuple[str, str]] = Counter()
    taken, lock, began = itertools.count(), threading.Lock(), time.monotonic()
    total = int(rate * seconds)

    def ask() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        while (number := next(taken)) < total:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            request = requests[number % len(requests)]
            try:
                connection.request(
                    request.method,
                    request.path,
                    request.body,
                    {"Content-Type": "application/json"} if request.body else {},
                )
                answer = connection.getresponse()
                answer.read()
                outcome = str(answer.status)
            except (OSError, http.client.HTTPException) as error:
                outcome = repr(error)
                connection.close()
            with lock:
                answers[request.route, outcome] += 1
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(answers, time.monotonic() - began)
