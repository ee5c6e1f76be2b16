"""The probe port: first the decision of a pod's reports, then through real servers."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import asgi_lifespan
import httpx2
import pytest
from fastapi import FastAPI

from fastapi_operator_runtime import (
    Options,
    RuntimeSettings,
    heartbeat,
    install,
    probes,
    testing,
)

PATHS = ("/livez", "/readyz", "/startupz")


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def report(
    pid: int, age: float = 0.0, checked: float | None = None, **fields: object
) -> heartbeat.Report:
    """Returns a report of so many seconds ago, with checks of so many seconds ago."""
    now = time.monotonic()
    values = {"pid": pid, "at": now - age, "started": True, "draining": False}
    if checked is not None:
        values["checked_at"] = now - checked
    return heartbeat.Report(**{**values, **fields})  # type: ignore[arg-type]


def statuses_of(reports: Sequence[heartbeat.Report]) -> tuple[int, ...]:
    """Returns the statuses of liveness, readiness and startup."""

    class Given(heartbeat.Reports):
        def read(self) -> list[heartbeat.Report]:
            return list(reports)

    pages = probes.ProbePages(Given(None), stuck_seconds=20).pages()
    return tuple(pages[path]({}, "").status for path in PATHS)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ((), (200, 503, 503)),
        (({"pid": 1, "started": False},), (200, 503, 503)),
        (({"pid": 1},), (200, 200, 200)),
        (({"pid": 1, "age": 19},), (200, 200, 200)),
        (({"pid": 1, "age": 21},), (503, 503, 200)),
        # A start that blocks the loop is not stuck, and neither is an end.
        (({"pid": 1, "age": 60, "started": False},), (200, 503, 503)),
        (({"pid": 1, "age": 60, "draining": True},), (200, 503, 200)),
        (({"pid": 1, "failed": {"database": "refused"}},), (200, 503, 200)),
        (({"pid": 1, "checked": 19},), (200, 200, 200)),
        (({"pid": 1, "checked": 21},), (200, 503, 200)),
        # One worker that serves makes the pod ready; one that is stuck restarts it.
        (({"pid": 1}, {"pid": 2, "started": False}), (200, 200, 200)),
        (({"pid": 1}, {"pid": 2, "draining": True}), (200, 200, 200)),
        (({"pid": 1, "failed": {"database": "refused"}}, {"pid": 2}), (200, 200, 200)),
        (({"pid": 1}, {"pid": 2, "age": 21}), (503, 200, 200)),
    ],
)
def test_the_probes_follow_from_the_reports_of_all_workers(
    reports: Sequence[Mapping[str, Any]], expected: tuple[int, ...]
) -> None:
    assert statuses_of([report(**each) for each in reports]) == expected


def test_reports_of_ended_workers_are_ignored(tmp_path: Path) -> None:
    mine, sleeper = heartbeat.Reports(str(tmp_path)), subprocess.Popen(["sleep", "60"])
    heartbeat.Reports(str(tmp_path)).write(report(sleeper.pid))
    mine.write(report(os.getpid()))
    assert {found.pid for found in mine.read()} == {os.getpid(), sleeper.pid}
    sleeper.kill()
    sleeper.wait()
    assert [found.pid for found in mine.read()] == [os.getpid()]
    (tmp_path / "heartbeat_1.json").write_text("{")
    assert [found.pid for found in mine.read()] == [os.getpid()]
    mine.remove()
    assert mine.read() == []


def probe(server: testing.AppServer, path: str) -> int:
    return get(f"{server.probe_url}{path}")


def get(url: str) -> int:
    """Without a client object, whose creation takes more CPU than the request."""
    try:
        with urllib.request.urlopen(url, timeout=3) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def served(app: str, directory: Path, **arguments: object) -> testing.AppServer:
    return testing.AppServer(f"served_app:{app}", app_directory=directory, **arguments)  # type: ignore[arg-type]


def test_a_blocked_event_loop_fails_liveness_after_its_bound(app_directory: Path) -> None:
    with served("stuck", app_directory) as server:
        assert [probe(server, path) for path in PATHS] == [200] * 3
        blocked = threading.Thread(
            target=lambda: httpx2.get(f"{server.url}/blocking?seconds=5", timeout=20)
        )
        blocked.start()
        time.sleep(1)
        assert [probe(server, path) for path in PATHS] == [200] * 3, "the bound is 2 s"
        until(lambda: probe(server, "/livez") == 503, seconds=3)
        assert probe(server, "/readyz") == 503
        blocked.join()
        until(lambda: probe(server, "/livez") == 200, seconds=3)
        assert probe(server, "/readyz") == 200


def test_a_busy_event_loop_stays_live_and_ready(app_directory: Path) -> None:
    """Sixty clients keep the loop busy for longer than the bound: the app's own probe waits."""
    with served("stuck", app_directory) as server:
        end = time.monotonic() + 5

        def work(_number: int) -> int:
            count = 0
            while time.monotonic() < end:
                with urllib.request.urlopen(f"{server.url}/busy", timeout=60) as response:
                    count += response.status == 200
            return count

        with concurrent.futures.ThreadPoolExecutor(60) as pool:
            clients = pool.map(work, range(60))
            time.sleep(1)
            found = []
            while time.monotonic() < end:
                found += [probe(server, path) for path in PATHS]
                time.sleep(0.2)
            assert set(found) == {200}
            assert sum(clients) > 60


def test_a_stuck_worker_of_several_fails_liveness_and_not_readiness(app_directory: Path) -> None:
    with served("stuck", app_directory, workers=2) as server:
        assert [probe(server, path) for path in PATHS] == [200] * 3
        victim = server.worker_pids()[0]
        # Either worker can be the one that holds the port.
        blocked = threading.Thread(
            target=lambda: httpx2.get(f"{server.url}/blocking?seconds=6", timeout=20)
        )
        blocked.start()
        until(lambda: probe(server, "/livez") == 503, seconds=5)
        assert probe(server, "/readyz") == 200, "the other one serves"
        blocked.join()
        until(lambda: probe(server, "/livez") == 200, seconds=3)
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in server.worker_pids())
        until(lambda: _all(server) == [200] * 3)


def _all(server: testing.AppServer) -> list[int]:
    try:
        return [probe(server, path) for path in PATHS]
    except OSError:  # another worker is about to take over the port
        return []


def test_a_draining_pod_is_live_and_not_ready(app_directory: Path) -> None:
    with served("draining", app_directory) as server:
        assert probe(server, "/readyz") == 200
        # Without traffic, it would stop at once.
        urllib.request.urlopen(f"{server.url}/fast/1", timeout=10).close()
        server.terminate()
        until(lambda: probe(server, "/readyz") == 503, seconds=3)
        assert probe(server, "/livez") == 200


async def test_failed_checks_reach_the_probe_port() -> None:
    port, broken = testing.free_port(), True

    async def database() -> None:
        if broken:
            raise ConnectionRefusedError

    app = FastAPI()
    config = RuntimeSettings.load({"PROBE_PORT": str(port)})
    install(app, config, options=Options(logs=False), checks={"database": database})

    async def ready() -> tuple[int, Mapping[str, object]]:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            response = await client.get("/readyz")
            return response.status_code, json.loads(response.text)

    async with asgi_lifespan.LifespanManager(app):
        deadline, found = time.monotonic() + 10, None
        expected = (503, {"status": "unready", "failed": {"database": "ConnectionRefusedError"}})
        while found != expected:
            assert time.monotonic() < deadline, found
            try:
                found = await ready()
            except httpx2.ConnectError:
                continue
        broken = False
        while (await ready())[0] != 200:
            assert time.monotonic() < deadline


def test_the_three_ports_must_differ() -> None:
    for name, other in (("PROBE_PORT", "METRICS_PORT"), ("DIAGNOSTICS_PORT", "PROBE_PORT")):
        with pytest.raises(ValueError, match=f"{name}='9000': must differ from {other}"):
            RuntimeSettings.load({name: "9000", other: "9000"})


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_other_servers_report_all_workers(server: str, app_directory: Path, tmp_path: Path) -> None:
    port, probe_port = testing.free_port(), testing.free_port()
    commands = {
        "gunicorn": ("gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2"),
        "granian": ("granian", "--port", str(port), "--workers", "2", "--interface", "asgi"),
    }
    extra = {"gunicorn": ("--worker-class", "uvicorn_worker.UvicornWorker"), "granian": ()}
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(app_directory),
        "PROBE_PORT": str(probe_port),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }
    command = [*commands[server], *extra[server], "served_app:stuck"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: _open(probe_port))
        until(lambda: len(list(tmp_path.glob("heartbeat_*.json"))) == 2)
        url = f"http://127.0.0.1:{probe_port}"
        until(lambda: get(f"{url}/readyz") == 200)
        blocked = threading.Thread(
            target=lambda: httpx2.get(f"http://127.0.0.1:{port}/blocking?seconds=5", timeout=20)
        )
        blocked.start()
        until(lambda: get(f"{url}/livez") == 503, seconds=5)
        assert get(f"{url}/readyz") == 200
        blocked.join()
    finally:
        process.terminate()
        process.wait(20)


def _open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
