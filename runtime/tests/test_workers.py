"""Through a real uvicorn: behaviour that a test client in the same process cannot show."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from fastapi_operator_runtime import testing

COUNT = "http_server_request_duration_seconds_count"


@pytest.fixture
def two_workers(app_directory: Path) -> Iterator[testing.AppServer]:
    server = testing.AppServer("served_app:app", workers=2, app_directory=app_directory)
    with server:
        yield server


@pytest.fixture
def one_worker(app_directory: Path) -> Iterator[testing.AppServer]:
    with testing.AppServer("served_app:app", app_directory=app_directory) as server:
        yield server


def get_all(server: testing.AppServer, count: int) -> list[int]:
    """Each request uses its own connection, so that both workers get some."""

    def get(number: int) -> int:
        with urllib.request.urlopen(f"{server.url}/fast/{number}", timeout=10) as response:
            return int(response.status)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(get, range(count)))


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def counted(server: testing.AppServer) -> float:
    return server.sample(COUNT, http_route="/fast/{number}")


def test_metrics_of_two_workers_are_exact_on_every_scrape(two_workers: testing.AppServer) -> None:
    assert set(get_all(two_workers, 200)) == {200}
    # The last one is counted when its response is sent: the client can be faster.
    until(lambda: counted(two_workers) == 200)
    assert [counted(two_workers) for _ in range(5)] == [200] * 5
    assert two_workers.sample("fastapi_worker_processes") == 2
    # Each process writes its counts before its gauges, and a scrape can come in between.
    until(lambda: two_workers.sample("http_server_active_requests") == 0)


def test_metrics_of_three_workers_add_up_to_all_requests(app_directory: Path) -> None:
    with testing.AppServer("served_app:app", workers=3, app_directory=app_directory) as server:
        assert set(get_all(server, 1000)) == {200}
        until(lambda: counted(server) == 1000)
        assert [counted(server) for _ in range(6)] == [1000] * 6


def test_a_killed_worker_keeps_its_counters_and_loses_its_gauges(
    two_workers: testing.AppServer,
) -> None:
    get_all(two_workers, 100)
    until(lambda: counted(two_workers) == 100)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        stuck = pool.submit(httpx2.get, f"{two_workers.url}/slow?seconds=30", timeout=60)
        until(lambda: two_workers.sample("http_server_active_requests") == 1)
        # One of them holds the private port: the other must take it over.
        for victim in two_workers.worker_pids():
            os.kill(victim, signal.SIGKILL)
            until(lambda gone=victim: gone not in two_workers.worker_pids())
            until(two_workers.is_ready)
            assert counted(two_workers) == 100
        with pytest.raises(httpx2.HTTPError):
            stuck.result()
    until(lambda: two_workers.sample("http_server_active_requests") == 0)
    # The pod is ready with one worker: the one in the other's place still starts.
    until(lambda: two_workers.sample("fastapi_worker_processes") == 2)
    get_all(two_workers, 10)
    until(lambda: counted(two_workers) == 110)


def test_sigterm_lets_the_running_request_finish(two_workers: testing.AppServer) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(httpx2.get, f"{two_workers.url}/slow?seconds=1")
        until(lambda: two_workers.sample("http_server_active_requests") == 1)
        two_workers.terminate()
        assert running.result().status_code == 200
    two_workers.wait()


def test_during_the_drain_delay_readiness_is_off_and_requests_are_served(
    app_directory: Path,
) -> None:
    server = testing.AppServer("served_app:draining", app_directory=app_directory)
    with server, httpx2.Client(base_url=server.url) as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/fast/0").status_code == 200
        server.terminate()
        until(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/livez").status_code == 200
        time.sleep(0.7)  # long after the server would have closed its sockets
        response = httpx2.get(f"{server.url}/fast/1")
        assert response.status_code == 200
        assert response.headers["connection"] == "close"
        assert server.wait() == -signal.SIGTERM


def test_on_a_probe_port_the_server_stops_when_no_request_has_come_for_five_seconds(
    one_worker: testing.AppServer,
) -> None:
    with httpx2.Client(base_url=one_worker.url) as client:
        client.get("/fast/0")
        one_worker.terminate()
        until(lambda: httpx2.get(f"{one_worker.probe_url}/readyz").status_code == 503)
        # The first is sent on a kept connection, on which a proxy could have sent it just now.
        closing = [client.get(f"/fast/{number}").headers["connection"] for number in range(5)]
        assert closing == ["close"] * 5
    quiet_since = time.monotonic()
    one_worker.wait()
    assert 4.5 < time.monotonic() - quiet_since < 8


def test_without_traffic_the_server_stops_at_once(one_worker: testing.AppServer) -> None:
    started_at = time.monotonic()
    one_worker.terminate()
    one_worker.wait()
    assert time.monotonic() - started_at < 3


def test_a_second_signal_ends_the_drain_delay(app_directory: Path) -> None:
    server = testing.AppServer("served_app:draining", app_directory=app_directory)
    with server:
        httpx2.get(f"{server.url}/fast/1")
        started_at = time.monotonic()
        server.terminate()
        time.sleep(0.1)
        server.terminate()
        server.wait()
        assert time.monotonic() - started_at < 2.5


def test_a_blocked_event_loop_is_measured_and_its_stack_logged(
    one_worker: testing.AppServer,
) -> None:
    time.sleep(1.6)
    assert one_worker.sample("fastapi_worker_event_loop_stalls_total") == 0, "idling does not stall"
    httpx2.get(f"{one_worker.url}/blocking?seconds=2", timeout=10)
    until(lambda: one_worker.sample("fastapi_worker_event_loop_lag_seconds_sum") > 1.5)
    assert one_worker.sample("fastapi_worker_event_loop_stalls_total") == 1
    stalls = [line for line in one_worker.log_lines() if "event loop is blocked" in line["message"]]
    assert len(stalls) == 1
    assert "time.sleep(seconds)" in stalls[0]["message"]


def test_the_private_port_is_not_the_public_one(one_worker: testing.AppServer) -> None:
    assert httpx2.get(f"{one_worker.url}/metrics").status_code == 404
    assert httpx2.get(one_worker.metrics_url).status_code == 200
    assert httpx2.get(one_worker.metrics_url.replace("/metrics", "/other")).status_code == 404


def test_a_limit_per_process_sheds_under_load(app_directory: Path) -> None:
    server = testing.AppServer(
        "served_app:app", app_directory=app_directory, environment={"MAX_IN_FLIGHT": "2"}
    )
    with server, concurrent.futures.ThreadPoolExecutor(10) as pool:
        barrier = threading.Barrier(10)

        def get(_number: int) -> tuple[int, str | None]:
            barrier.wait()
            try:
                with urllib.request.urlopen(f"{server.url}/slow?seconds=2", timeout=20) as answer:
                    return answer.status, None
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.headers["Retry-After"]

        answers = list(pool.map(get, range(10)))
        statuses = [status for status, _ in answers]
        assert statuses.count(200) >= 2
        assert statuses.count(503) >= 5
        assert all(retry_after for status, retry_after in answers if status == 503)
        assert server.sample("fastapi_worker_shed_requests_total") == statuses.count(503)


def test_an_invalid_variable_stops_the_startup_with_one_sentence(app_directory: Path) -> None:
    server = testing.AppServer(
        "served_app:app", app_directory=app_directory, environment={"THREAD_TOKENS": "many"}
    )
    with pytest.raises(RuntimeError, match="THREAD_TOKENS='many': input should be a valid integer"):
        server.__enter__()


def test_access_logs_of_the_server_are_replaced(one_worker: testing.AppServer) -> None:
    get_all(one_worker, 3)
    until(lambda: len([x for x in one_worker.log_lines() if x["message"] == "request"]) == 3)
    lines = one_worker.log_path.read_text().splitlines()
    assert all(line.startswith("{") for line in lines), "everything is JSON"
    assert "uvicorn.access" not in {line["logger"] for line in one_worker.log_lines()}


def test_gauges_of_an_earlier_container_are_ignored(app_directory: Path, tmp_path: Path) -> None:
    """The directory outlives a container's restart, and the new process has an old number."""
    program = (
        "import os, pathlib, time\n"
        "from fastapi_operator_runtime import metrics\n"
        "directory = pathlib.Path(os.environ['PROMETHEUS_MULTIPROC_DIR'])\n"
        "stale = directory / f'gauge_livesum_{os.getpid()}.db'\n"
        "stale.write_bytes((directory / 'earlier').read_bytes())\n"
        "os.utime(stale, (time.time() - 3600,) * 2)\n"
        "print(metrics.instruments().active_requests._value.get())\n"
    )
    first = (
        "import os, pathlib, glob, shutil\n"
        "from fastapi_operator_runtime import metrics\n"
        "metrics.instruments().active_requests.inc(5)\n"
        "directory = os.environ['PROMETHEUS_MULTIPROC_DIR']\n"
        "found = glob.glob(directory + '/gauge_livesum_*.db')[0]\n"
        "shutil.copy(found, directory + '/earlier')\n"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", first], env=environment, check=True)
    output = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert float(output) == 0.0


@pytest.mark.parametrize("root", ["/shop", "/shop/"])
def test_a_root_path_changes_neither_probes_nor_routes(app_directory: Path, root: str) -> None:
    server = testing.AppServer(
        "served_app:app", app_directory=app_directory, arguments=["--root-path", root]
    )
    with server:
        assert httpx2.get(f"{server.url}/readyz").status_code == 200
        assert httpx2.get(f"{server.url}/fast/1").status_code == 200
        until(lambda: counted(server) == 1)  # the route template has no root path
        assert server.sample(COUNT) == 1, "the probe was not counted"
