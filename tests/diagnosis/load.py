"""Clients that send requests continuously."""

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """The requests of the clients of a pod.

    Attributes:
        path: The path of most requests.
        clients: The number of clients per pod.
        pause_seconds: The mean pause of each client after a response.
        share: The share of requests to ``path``; the others are to ``/items``.
        method: The HTTP method.
    """

    path: str
    clients: int
    pause_seconds: float = 0.05
    share: float = 1.0
    method: str = "GET"


@contextlib.contextmanager
def running(load: Load, ports: Sequence[int]) -> Iterator[None]:
    """Runs the clients for the length of a block."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_client, args=(load, port, number, stop), daemon=True)
        for port in ports
        for number in range(load.clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)


@contextlib.contextmanager
def in_waves(load: Load, port: int, period_seconds: float) -> Iterator[None]:
    """Sends the requests of all clients at once, whenever connections were idle for the period."""
    stop = threading.Event()
    wave = threading.Thread(target=_waves, args=(load, port, period_seconds, stop), daemon=True)
    wave.start()
    try:
        yield
    finally:
        stop.set()
        wave.join(timeout=30)


def _waves(load: Load, port: int, period_seconds: float, stop: threading.Event) -> None:
    clients = [_Client(load, port) for _ in range(load.clients)]
    chance = random.Random(load.clients)
    while not stop.is_set():
        began = time.monotonic()
        requests = [threading.Thread(target=client.send, args=(load.path,)) for client in clients]
        for thread in requests:
            thread.start()
        for thread in requests:
            thread.join()
        # Just before or just after the server closes idle connections.
        until = began + period_seconds + chance.uniform(-0.005, 0.02)
        stop.wait(max(0.0, until - time.monotonic()))


def _client(load: Load, port: int, number: int, stop: threading.Event) -> None:
    client, chance = _Client(load, port), random.Random(number)
    while not stop.is_set():
        client.send(load.path if chance.random() < load.share else "/items")
        stop.wait(chance.uniform(0, 2 * load.pause_seconds))


class _Client:
    def __init__(self, load: Load, port: int) -> None:
        self._method = load.method
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(self, path: str) -> None:
        try:
            self._connection.request(self._method, path)
            self._connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
