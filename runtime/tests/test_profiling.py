"""Through a real server: the pages are read while it works."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fastapi_operator_runtime import profiling, testing


@pytest.fixture(scope="module")
def server() -> Iterator[testing.AppServer]:
    directory = Path(__file__).parent
    with testing.AppServer("served_app:app", app_directory=directory) as served:
        yield served


def page(server: testing.AppServer, address: str) -> httpx2.Response:
    return httpx2.get(f"{server.diagnostics_url}{address}", timeout=30)


def get(url: str) -> int:
    """Without a client object, whose creation takes more CPU than the request."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_stacks_show_threads_and_waiting_requests(server: testing.AppServer) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(httpx2.get, f"{server.url}/slow?seconds=1")
        text = ""
        while "in slow" not in text and not running.done():
            text = page(server, "/debug/stacks").text
        running.result()
    assert "thread MainThread" in text
    assert "served_app.py" in text
    assert "in slow" in text


def test_a_sampling_profile_shows_where_the_loop_is_and_no_idleness(
    server: testing.AppServer,
) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        profile = pool.submit(page, server, "/debug/profile?seconds=2")
        time.sleep(0.5)
        httpx2.get(f"{server.url}/blocking?seconds=0.5")
        lines = profile.result().text.splitlines()
    stack, _, count = lines[0].rpartition(" ")
    assert "served_app.py:blocking" in stack
    assert 10 <= int(count) <= 80, "half a second of two, at a hundred hertz"
    others = sum(int(line.rpartition(" ")[2]) for line in lines[1:])
    assert others < 100, lines


def test_one_request_is_profiled(server: testing.AppServer) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(page, server, "/debug/request?route=/slow")
        time.sleep(0.4)
        httpx2.get(f"{server.url}/fast/1")
        httpx2.get(f"{server.url}/slow?seconds=0.01")
        report = waiting.result().text
    assert report.startswith("GET /slow\n")
    assert "served_app.py" in report
    assert "(slow)" in report


@pytest.mark.parametrize("query", ["seconds=0", "seconds=61", "seconds=x", "hertz=5000"])
def test_a_profile_outside_the_bounds_is_rejected(server: testing.AppServer, query: str) -> None:
    assert page(server, f"/debug/profile?{query}").status_code == 400


def test_a_profile_without_a_request_is_an_error(server: testing.AppServer) -> None:
    response = page(server, "/debug/request?route=/never&seconds=0.2")
    assert response.status_code == 400
    assert httpx2.get(f"{server.url}/fast/1").status_code == 200


@pytest.mark.parametrize("route", ["", "/other"])
async def test_the_profile_of_a_stream_ends_in_time(route: str) -> None:
    def is_profiled() -> bool:
        tools = getattr(sys, "monitoring", None)  # Python 3.12
        return bool(tools.get_tool(tools.PROFILER_ID)) if tools else sys.getprofile() is not None

    async def stream(*_: object) -> None:
        assert is_profiled()
        await asyncio.sleep(0.5)
        assert not is_profiled()

    async def later(*_: object) -> None:
        assert not is_profiled()

    async def ask(*_: object) -> Any:
        pass

    requests = profiling.RequestProfiler()
    waiting = asyncio.create_task(asyncio.to_thread(requests.next, route, 0.2))
    await asyncio.sleep(0.05)
    requests.app = stream
    await requests({"type": "http", "method": "GET"}, ask, ask)
    with pytest.raises(ValueError, match="no request"):
        await waiting
    requests.app = later
    await requests({"type": "http", "method": "GET"}, ask, ask)


def test_probes_metrics_and_diagnostics_share_no_port(server: testing.AppServer) -> None:
    own = {
        server.metrics_port: "/metrics",
        server.probe_port: "/livez",
        server.diagnostics_port: "/debug/modules",
    }
    for port in own:
        for other, path in own.items():
            expected = 200 if port == other else 404
            assert httpx2.get(f"http://127.0.0.1:{port}{path}").status_code == expected


def test_another_address_of_the_pod_refuses_diagnostics(server: testing.AppServer) -> None:
    """Linux routes all of 127.0.0.0/8 to the machine, as it does the address of a pod."""
    assert httpx2.get(f"http://127.0.0.2:{server.metrics_port}/metrics").status_code == 200
    assert httpx2.get(f"http://127.0.0.2:{server.probe_port}/livez").status_code == 200
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.2:{server.diagnostics_port}/debug/stacks")


def test_forty_profiles_leave_the_pod_its_requests_and_its_probes(
    server: testing.AppServer,
) -> None:
    """One runs, and the others are rejected at once; the pod serves as many requests as before."""

    def requests_of(seconds: float) -> int:
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            count += get(f"{server.url}/busy") == 200
        return count

    alone = requests_of(3)
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        address = f"{server.diagnostics_url}/debug/profile?seconds=6"
        profiles = [pool.submit(get, address) for _ in range(40)]
        deadline = time.monotonic() + 3
        while sum(profile.done() for profile in profiles) < 39 and time.monotonic() < deadline:
            time.sleep(0.05)
        during = requests_of(3)
        for path in ("/livez", "/readyz", "/startupz"):
            assert get(f"{server.probe_url}{path}") == 200
        statuses = [profile.result() for profile in profiles]
    assert sorted(statuses) == [200] + [429] * 39
    assert during > alone / 2, f"{during} requests instead of {alone}"


def test_a_profile_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "MAX_BYTES", 20)
    assert profiling._text("outer;inner 3\nouter 2\n").body == b"outer;inner 3\n"
    monkeypatch.setattr(profiling, "MAX_STACKS", 0)
    profiler = profiling.Profiler(asyncio.new_event_loop(), profiling.RequestProfiler())
    profiler._loop.close()
    release = threading.Event()
    waiting = threading.Thread(target=release.wait)
    waiting.start()
    body = profiler.profile({"seconds": ["0.1"], "idle": ["1"]}, "").body
    release.set()
    waiting.join()
    assert body.startswith(b"other stacks ")


def test_without_the_port_there_are_no_profiles() -> None:
    directory, off = Path(__file__).parent, {"DIAGNOSTICS_PORT": ""}
    with testing.AppServer("served_app:app", app_directory=directory, environment=off) as served:
        assert httpx2.get(served.metrics_url).status_code == 200
        with pytest.raises(httpx2.ConnectError):
            page(served, "/debug/stacks")
