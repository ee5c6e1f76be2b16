from __future__ import annotations

import concurrent.futures
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from fastapi_operator_runtime import listener, metrics, testing

PAGES = {"/metrics": metrics.Exposition().page}


def until_serving(server: listener.Listener) -> None:
    deadline = time.monotonic() + 5
    while not server.serving:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def status_of(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_one_worker_serves_and_another_takes_over() -> None:
    port = testing.free_port()
    first = listener.Listener("METRICS_PORT", port, PAGES)
    first.start()
    until_serving(first)
    second = listener.Listener("METRICS_PORT", port, PAGES)
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
        server = listener.Listener("METRICS_PORT", holder.getsockname()[1], PAGES)
        server.start()
        time.sleep(0.1)
        started_at = time.monotonic()
        server.stop()
        assert time.monotonic() - started_at < 0.5


def test_a_stopped_server_releases_the_port() -> None:
    port = testing.free_port()
    for _ in range(3):
        server = listener.Listener("METRICS_PORT", port, PAGES)
        server.start()
        until_serving(server)
        server.stop()


def test_an_invalid_request_gets_a_status() -> None:
    def page(_query: listener.Query, _accept: str) -> listener.Response:
        raise ValueError("seconds must be at most 60")

    def broken(_query: listener.Query, _accept: str) -> listener.Response:
        raise RuntimeError

    port = testing.free_port()
    server = listener.Listener("METRICS_PORT", port, {"/page": page, "/broken": broken})
    server.start()
    until_serving(server)
    assert status_of(port, "/page") == 400
    assert status_of(port, "/broken") == 500
    assert status_of(port, "/other") == 404
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET //[ HTTP/1.1\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/page", data=b"x")
    server.stop()


def test_idle_connections_do_not_keep_others_out() -> None:
    port = testing.free_port()
    server = listener.Listener("METRICS_PORT", port, PAGES)
    server.start()
    until_serving(server)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    assert [status_of(port, "/metrics") for _ in range(5)] == [200] * 5
    for connection in idle:
        connection.close()
    server.stop()


def test_an_exclusive_listener_runs_one_page_at_a_time() -> None:
    release = threading.Event()

    def slow(_query: listener.Query, _accept: str) -> listener.Response:
        release.wait(10)
        return listener.Response(listener.TEXT, b"done")

    port = testing.free_port()
    server = listener.Listener("DIAGNOSTICS_PORT", port, {"/slow": slow}, exclusive=True)
    server.start()
    until_serving(server)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(status_of, port, "/slow") for _ in range(8)]
        deadline = time.monotonic() + 5
        while sum(each.done() for each in running) < 7 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sum(each.done() for each in running) == 7, "they do not wait"
        release.set()
        assert sorted(each.result() for each in running) == [200] + [429] * 7
    assert status_of(port, "/slow") == 200
    server.stop()


def test_a_loopback_listener_refuses_other_addresses() -> None:
    port = testing.free_port()
    server = listener.Listener("DIAGNOSTICS_PORT", port, PAGES, loopback=True)
    server.start()
    until_serving(server)
    # Linux routes the whole 127.0.0.0/8 to the machine, as it does the address of the pod.
    for address in ("127.0.0.2", "::1"):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, port), timeout=2)
    assert status_of(port, "/metrics") == 200
    server.stop()
