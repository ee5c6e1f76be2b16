"""A slow network: the responses of a server arrive late, and so does the end of a connection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

CHUNK_BYTES = 65536


class SlowLink:
    """A port in front of a local server, whose responses arrive `delay_seconds` late.

    Args:
        port: Port of the server.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay_seconds = 0.0

    def __enter__(self) -> Self:
        _in_background(self._accept)
        return self

    def __exit__(self, *_error: object) -> None:
        # `close` alone would leave the thread in `accept`.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                _in_background(self._pump, client, server, False)
                _in_background(self._pump, server, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, late: bool) -> None:
        with source, contextlib.suppress(OSError):  # the other side has gone
            while chunk := source.recv(CHUNK_BYTES):
                if late:
                    time.sleep(self.delay_seconds)
                sink.sendall(chunk)
            if late:
                time.sleep(self.delay_seconds)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _in_background(work: object, *arguments: object) -> None:
    assert callable(work)
    threading.Thread(target=work, args=arguments, daemon=True).start()
