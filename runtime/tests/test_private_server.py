from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping

import pytest

from fastapi_operator_runtime import metrics, private_server, testing

PAGES = {"/metrics": metrics.page}


def until_serving(server: private_server.PrivateServer) -> None:
    deadline = time.monotonic() + 5
    while not server.serving:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_worker_serves_and_another_takes_over() -> None:
    port = testing.free_port()
    first = private_server.PrivateServer(port, PAGES)
    first.start()
    until_serving(first)
    second = private_server.PrivateServer(port, PAGES)
    second.start()
    time.sleep(0.3)
    assert not second.serving
    first.stop()
    until_serving(second)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        assert b"python_info" in response.read()
    second.stop()


def test_a_server_that_never_got_the_port_stops_at_once() -> None:
    with socket.create_server(("0.0.0.0", 0)) as holder:
        server = private_server.PrivateServer(holder.getsockname()[1], PAGES)
        server.start()
        time.sleep(0.1)
        started_at = time.monotonic()
        server.stop()
        assert time.monotonic() - started_at < 0.5


def test_a_stopped_server_releases_the_port() -> None:
    port = testing.free_port()
    for _ in range(3):
        server = private_server.PrivateServer(port, PAGES)
        server.start()
        until_serving(server)
        server.stop()


def test_invalid_arguments_of_a_page_return_400() -> None:
    def page(_query: Mapping[str, list[str]], _accept: str) -> tuple[str, bytes]:
        raise ValueError("seconds must be at most 60")

    port = testing.free_port()
    server = private_server.PrivateServer(port, {"/page": page})
    server.start()
    until_serving(server)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/page")
    assert caught.value.code == 400
    caught.value.close()
    server.stop()
