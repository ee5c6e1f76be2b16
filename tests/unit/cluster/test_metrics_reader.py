"""Metrics pages of real servers on loopback: slow, huge, broken, refusing and redirecting ones."""

import gzip
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import pytest

from fastapi_operator.cluster import metrics_reader
from fastapi_operator.cluster.metrics_reader import PAGE_BYTES, PAGES_AT_ONCE, read_urls

PAGE = b'# TYPE wanted counter\nwanted_total{a="\xc3\xa4"} 1\nother_total 2\nwanted_created 3\n'
BOMB = gzip.compress(b"a" * 10**7)
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Pod(http.server.ThreadingHTTPServer):
    """A pod whose pages are responses by path.

    Attributes:
        requests: The paths that were requested, with their headers.
        present: The requests that are served now, and the most at the same time.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.lock = threading.Lock()
        self.present = self.most = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Pod
    answers: ClassVar[dict[str, Callable[["_Handler"], None]]] = {}

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers)))
            self.server.present += 1
            self.server.most = max(self.server.most, self.server.present)
        try:
            self.answers[self.path.strip("/").partition("?")[0]](self)
        except OSError:  # the reader closed the connection
            self.close_connection = True
        finally:
            with self.server.lock:
                self.server.present -= 1

    def page(self, body: bytes = PAGE, *, status: int = 200, kind: str = TEXT, **head: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in head.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def slow(handler: _Handler) -> None:
    time.sleep(1)
    handler.page()


def slow_body(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", TEXT)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"wanted_total 1\n")
        time.sleep(0.05)


def endless(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", TEXT)
    handler.end_headers()
    while True:
        handler.wfile.write(b"wanted_total 1\n" * 4096)


def cut(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", TEXT)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(PAGE)


def long_header(handler: _Handler) -> None:
    handler.page(X_Padding="x" * 100_000)


_Handler.answers = {
    "metrics": lambda handler: handler.page(),
    "openmetrics": lambda handler: handler.page(kind="application/openmetrics-text; version=1.0.0"),
    "busy": lambda handler: (time.sleep(0.1), handler.page())[1],
    "slow": slow,
    "slow-body": slow_body,
    "endless": endless,
    "large": lambda handler: handler.page(b"wanted_total 1\n" * (PAGE_BYTES // 15 + 1)),
    "cut": cut,
    "long-header": long_header,
    "html": lambda handler: handler.page(b"<html>", kind="text/html"),
    "json": lambda handler: handler.page(b"{}", kind="application/json"),
    "bytes": lambda handler: handler.page(b"wanted_total \xff\n"),
    "bomb": lambda handler: handler.page(BOMB, Content_Encoding="gzip"),
    "moved": lambda handler: handler.page(status=302, Location="/metrics"),
    "missing": lambda handler: handler.page(status=404),
    "busy-status": lambda handler: handler.page(status=429),
}


@pytest.fixture
def pod() -> Iterator[Pod]:
    with running(Pod()) as server:
        yield server


@contextmanager
def running(server: Pod) -> Iterator[Pod]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def raw(*answer: bytes) -> Iterator[str]:
    """The URL of a server that sends these bytes to each client, and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stopped = threading.Event()
        listening.settimeout(0.05)

        def serve() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.recv(65536)
                    for piece in answer:
                        connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"
        finally:
            stopped.set()
            thread.join()


async def read(url: str, names: Sequence[str] = ("wanted",)) -> tuple[str | None, str]:
    return (await read_urls({url: names}))[url]


@pytest.mark.parametrize("path", ["metrics", "openmetrics"])
async def test_only_the_requested_metrics_of_a_page_are_kept(pod: Pod, path: str) -> None:
    assert await read(pod.url(path)) == ('wanted_total{a="ä"} 1\nwanted_created 3\n', "")
    assert await read(pod.url(path), ("nothing",)) == ("", "")


async def test_a_request_has_no_credentials_and_no_other_content(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert (await read(pod.url("metrics")))[1] == ""
    ((_, headers),) = pod.requests
    assert headers.keys() == {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("large", f"its metrics page is larger than {PAGE_BYTES} bytes"),
        ("endless", f"its metrics page is larger than {PAGE_BYTES} bytes"),
        ("cut", "no HTTP response of its metrics port: ClientPayloadError"),
        ("long-header", "no HTTP response of its metrics port: ClientResponseError"),
        ("html", "its metrics page has the content type text/html"),
        ("json", "its metrics page has the content type application/json"),
        ("bytes", "its metrics page is not UTF-8"),
        ("bomb", "its metrics page has the encoding gzip"),
        ("missing", "its metrics page has the status 404"),
        ("busy-status", "its metrics page has the status 429"),
    ],
)
async def test_other_content_than_metrics_is_not_read(pod: Pod, path: str, problem: str) -> None:
    assert await read(pod.url(path)) == (None, problem)


async def test_redirects_are_not_followed(pod: Pod) -> None:
    assert await read(pod.url("moved")) == (None, "its metrics page has the status 302")
    assert [path for path, _ in pod.requests] == ["/moved"]


@pytest.mark.parametrize("path", ["slow", "slow-body"])
async def test_a_slow_page_is_given_up(
    pod: Pod, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(metrics_reader, "PAGE_SECONDS", 0.3)
    began = time.monotonic()
    assert await read(pod.url(path)) == (None, "no metrics page within 0.3 s")
    assert time.monotonic() - began < 0.9


async def test_a_port_that_refuses_is_named_by_its_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    text, problem = await read(f"http://127.0.0.1:{port}/metrics")
    assert text is None
    assert problem == "no connection to its metrics port: Connection refused"


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
async def test_what_is_not_http_is_not_read(answer: bytes) -> None:
    with raw(answer) as url:
        text, problem = await read(url)
    assert text is None
    assert problem.startswith("no HTTP response of its metrics port: ")


async def test_one_pod_that_cannot_be_read_does_not_stop_the_others(pod: Pod) -> None:
    found = await read_urls({pod.url(path): ("wanted",) for path in ("metrics", "html", "moved")})
    assert [bool(problem) for _, problem in found.values()] == [False, True, True]


async def test_few_pages_are_read_at_the_same_time(pod: Pod) -> None:
    found = await read_urls({pod.url(f"busy?{number}"): ("wanted",) for number in range(20)})
    assert all(problem == "" for _, problem in found.values())
    assert 1 < pod.most <= PAGES_AT_ONCE


async def test_no_pods_are_no_pages() -> None:
    assert await read_urls({}) == {}
