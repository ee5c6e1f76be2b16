"""An app behind a proxy under test, and a client of that proxy."""

import http.client
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

# An HTTP proxy is in front of the service, so its X-Forwarded headers are trusted.
BEHIND_INGRESS = {"hosts": ["shop.example.com"], "ingress": {}}


@dataclass
class Answer:
    """The response of the app for a path; it may break the connection instead."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0
    breaks: bool = False


class App(http.server.ThreadingHTTPServer):
    """Returns the received headers, unless another response is set for the path.

    Attributes:
        asked: Each request's path, in order.
        connections: The clients' ports, one per connection.
        answers: The response by path, without its query.
        may_continue: A streamed response sends its second piece when this is set.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((host, port), _Handler)
        self.asked: list[str] = []
        self.connections: set[int] = set()
        self.answers: dict[str, Answer] = {}
        self.may_continue = threading.Event()

    @property
    def port(self) -> int:
        """The port that it got."""
        return int(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise the body waits 40 ms for the acknowledgement of the headers.
    disable_nagle_algorithm = True
    server: App

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.asked.append(self.path)
        self.server.connections.add(int(self.client_address[1]))
        if self.headers.get("Upgrade") == "websocket":
            self._echo()
        elif self.path.startswith("/events"):
            self._stream()
        elif self.path.startswith("/broken"):
            self.close_connection = True
        else:
            self._answer(self.server.answers.get(self.path.partition("?")[0], Answer()))

    do_POST = do_GET  # noqa: N815 (names of the base class)

    def _answer(self, answer: Answer) -> None:
        time.sleep(answer.delay)
        if answer.breaks:
            self.close_connection = True
            return
        body = answer.body
        if body is None:
            body = json.dumps(dict(self.headers) | {"path": self.path}).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"first\n")
        self.wfile.flush()
        self.server.may_continue.wait(20)
        self.wfile.write(b"second\n")
        self.close_connection = True

    def _echo(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.wfile.write(self.rfile.readline())
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0) -> Iterator[App]:
    """An app for the length of a block."""
    app = App(host, port)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    try:
        yield app
    finally:
        app.may_continue.set()
        app.shutdown()
        app.server_close()


def ask(
    port: int,
    path: str = "/",
    method: str = "GET",
    body: bytes | None = None,
    host: str = "127.0.0.1",
    **headers: str,
) -> http.client.HTTPResponse:
    """Returns the response to one request; ``_`` in a header's name is replaced by ``-``."""
    client = http.client.HTTPConnection(host, port, timeout=20)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    client.request(method, path, body=body, headers=names)
    return client.getresponse()


def assert_sent_now(header: str) -> None:
    """Asserts that a request has the time at which the proxy sent it, as the runtime reads it."""
    found = re.fullmatch(r"t=(\d{10})[.]?(\d{3});by=[A-Za-z0-9._-]+", header)
    assert found, header
    assert abs(time.time() - int(found[1]) - int(found[2]) / 1000) < 10


def received(answer: http.client.HTTPResponse) -> dict[str, Any]:
    """Returns the request as the app received it."""
    seen: dict[str, Any] = json.loads(answer.read())
    return seen
