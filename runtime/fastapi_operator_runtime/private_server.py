"""The private port of a pod: `/metrics` and pages, served by exactly one of its workers.

Every worker tries to bind the port, and one succeeds. The others retry every second, so that
another takes over if the holder ends. It is a thread with its own small HTTP server, so that a
scrape does not wait behind requests and is not counted as one.
"""

from __future__ import annotations

import errno
import http.server
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlsplit

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
Query = Mapping[str, list[str]]
Page = Callable[[Query, str], tuple[str, bytes]]
"""A page takes the parsed query and the Accept header; it returns content type and body.

For a ValueError, the response is 400 with its text."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = False  # only one worker may hold the port
    pages: Mapping[str, Page]

    def __init__(self, port: int, pages: Mapping[str, Page]) -> None:
        self.pages = pages
        # IPv6 that also accepts IPv4, or IPv4 if the machine has no IPv6.
        self.address_family = socket.AF_INET6 if _has_ipv6() else socket.AF_INET
        super().__init__(("::" if _has_ipv6() else "0.0.0.0", port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    timeout = 10.0

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        page = self.server.pages.get(address.path)
        if page is None:
            self.send_error(404)
            return
        try:
            content_type, body = page(parse_qs(address.query), self.headers.get("Accept", ""))
        except ValueError as error:
            self.send_error(400, str(error))
            return
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        logger.debug("private port: " + format, *args)


class PrivateServer:
    """Serves the private port as soon as this worker can bind it."""

    def __init__(self, port: int, pages: Mapping[str, Page]) -> None:
        self._port = port
        self._pages = dict(pages)
        self._stop = threading.Event()
        self._server: _Server | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="private-port", daemon=True)

    @property
    def serving(self) -> bool:
        """Whether this worker holds the port."""
        return self._server is not None

    def start(self) -> None:
        """Starts trying to bind, and returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Releases the port, so that another worker can bind it."""
        self._stop.set()
        with self._lock:
            if self._server is not None:
                self._server.shutdown()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        warned = False
        while not self._stop.is_set():
            try:
                server = _Server(self._port, self._pages)
            except OSError as error:
                if error.errno != errno.EADDRINUSE and not warned:
                    logger.warning(
                        "METRICS_PORT=%d: cannot bind the port, will retry: %s", self._port, error
                    )
                    warned = True
                self._stop.wait(RETRY_SECONDS)
                continue
            self._serve(server)

    def _serve(self, server: _Server) -> None:
        with self._lock:
            if self._stop.is_set():
                server.server_close()
                return
            self._server = server
            # `shutdown` waits for a running loop, so the loop starts before the lock is released.
            loop = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
            loop.start()
        loop.join()
        with self._lock:
            self._server = None
        server.server_close()


def _has_ipv6() -> bool:
    if not socket.has_dualstack_ipv6():
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
