"""Clients that ask all the time."""

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """The load of the clients of a pod.

    Attributes:
        path: The path of most requests.
        clients: How many there are for each pod.
        pause_seconds: The average pause after a response.
        share: Share of requests that ask for ``path``; the others ask for ``/items``.
        method: How they ask.
    """

    path: str
    clients: int
    pause_seconds: float = 0.05
    share: float = 1.0
    method: str = "GET"


@contextlib.contextmanager
def running(load: Load, ports: Sequence[int]) -> Iterator[None]:
    """The clients, for the length of a block."""
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
    """All clients ask at once, and again when their connections have been idle for the period."""
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
        asking = [threading.Thread(target=client.ask, args=(load.path,)) for client in clients]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        # Around the moment at which the server closes idle connections: just before, or just after.
        until = began + period_seconds + chance.uniform(-0.005, 0.02)
        stop.wait(max(0.0, until - time.monotonic()))


def _client(load: Load, port: int, number: int, stop: threading.Event) -> None:
    client, chance = _Client(load, port), random.Random(number)
    while not stop.is_set():
        client.ask(load.path if chance.random() < load.share else "/items")
        stop.wait(chance.uniform(0, 2 * load.pause_seconds))


class _Client:
    def __init__(self, load: Load, port: int) -> None:
        self._method = load.method
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, path: str) -> None:
        try:
            self._connection.request(self._method, path)
            self._connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
