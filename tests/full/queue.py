"""A client of a service's queue, which speaks just enough of Redis's protocol."""

import base64
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, BinaryIO

from tests.e2e.conftest import Shop


class Queue:
    """A connection to a queue."""

    def __init__(self, connection: socket.socket) -> None:
        """Uses a connection."""
        self._connection = connection
        self._responses: BinaryIO = connection.makefile("rb")

    def __call__(self, *words: str) -> Any:
        """Returns the response to a command.

        Raises:
            RuntimeError: The server refused it.
        """
        parts = (f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        self._connection.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        return self._read()

    def _read(self) -> Any:
        line = self._responses.readline().decode().strip()
        kind, text = line[:1], line[1:]
        if kind == "-":
            raise RuntimeError(text)
        if kind == ":":
            return int(text)
        if kind == "$":
            return self._responses.read(int(text) + 2)[:-2].decode()
        if kind == "*":
            return [self._read() for _ in range(int(text))]
        return text


@contextlib.contextmanager
def connected(shop: Shop) -> Iterator[Queue]:
    """A client with the credentials of the service."""
    name = (f"{shop.name}-queue", "-n", shop.namespace)
    found = shop.kubectl.json("get", "secret", *name)["data"]
    address = shop.kubectl.json("get", "service", *name)["spec"]["clusterIP"]
    with socket.create_connection((address, 6379), timeout=10) as connection:
        queue = Queue(connection)
        queue("AUTH", *(base64.b64decode(found[key]).decode() for key in ("username", "password")))
        yield queue
