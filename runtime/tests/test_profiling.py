"""Through a real server: the pages are read while it works."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from fastapi_operator_runtime import testing


@pytest.fixture(scope="module")
def server() -> Iterator[testing.AppServer]:
    directory = Path(__file__).parent
    with testing.AppServer("served_app:app", app_directory=directory) as served:
        yield served


def page(server: testing.AppServer, address: str) -> httpx2.Response:
    return httpx2.get(f"http://127.0.0.1:{server.metrics_port}{address}", timeout=30)


def test_stacks_show_threads_and_waiting_requests(server: testing.AppServer) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(httpx2.get, f"{server.url}/slow?seconds=1")
        time.sleep(0.4)
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


def test_profiles_can_be_disabled_without_the_metrics() -> None:
    directory, off = Path(__file__).parent, {"PROFILING_ENABLED": "false"}
    with testing.AppServer("served_app:app", app_directory=directory, environment=off) as served:
        assert page(served, "/metrics").status_code == 200
        assert page(served, "/debug/stacks").status_code == 404
        assert page(served, "/debug/profile?seconds=1").status_code == 404
