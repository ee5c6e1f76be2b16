"""Each server as it is rendered: the real program, with exactly the command and environment."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi_operator_runtime.testing.server import free_port

from fastapi_operator.facts import Facts
from fastapi_operator.resources.build import build
from fastapi_operator.resources.servers import HEARTBEAT_DIRECTORY
from fastapi_operator.settings import Settings
from fastapi_operator.tuning.derive import derive
from tests.unit.services import service

APP_BIN = Path(__file__).resolve().parents[3] / ".venv-app/bin"
GRACEFUL_SECONDS = 3
CLIENTS = 20


@dataclass
class Running:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int
    metrics_port: int

    @contextlib.contextmanager
    def idle_connection(self) -> Iterator[socket.socket]:
        """A connection that has had its answer and is kept open, as a proxy does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", "/slow?seconds=0")
            assert connection.getresponse().read() == b'{"seconds":0.0}'
            yield connection.sock

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()

    def sample(self, name: str) -> float:
        """A metric, added up over its labels."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        values = [
            line.rpartition(" ")[2] for line in lines if line.split("{")[0].split()[0] == name
        ]
        return sum(float(value) for value in values)

    def seconds_to_end(self) -> float:
        """Asks it to stop and waits; answers how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        return time.monotonic() - began


def container(server: dict[str, Any], metrics_port: int, directory: Path) -> dict[str, Any]:
    """The app's container, rendered."""
    variables = {"METRICS_PORT": metrics_port, "PROMETHEUS_MULTIPROC_DIR": directory / "metrics"}
    if server.get("workers", 1) == 1:
        del variables["PROMETHEUS_MULTIPROC_DIR"]
    spec = service(
        app="served:app",
        port=free_port(),
        server={"gracefulSeconds": GRACEFUL_SECONDS, **server},
        env=[{"name": name, "value": str(value)} for name, value in variables.items()],
    )
    plan = derive(spec, Settings(), Facts())
    (deployment,) = [
        item.body
        for item in build(spec, plan, Settings(), Facts())
        if (item.key.kind, item.key.name) == ("Deployment", "shop")
    ]
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


def several(engine: str, workers: int) -> dict[str, Any]:
    return {"engine": engine, "workerPolicy": "Fixed", "workers": workers}


def of(*servers: dict[str, Any]) -> pytest.MarkDecorator:
    """Runs a test with each of these servers."""
    names = [f"{server['engine']}-{server['workers']}" for server in servers]
    return pytest.mark.parametrize("server", servers, ids=names, indirect=True)


# Several workers of uvicorn are tested with the runtime.
ALONE = [several(engine, 1) for engine in ("Uvicorn", "Gunicorn", "Granian")]
IN_PAIRS = [several(engine, 2) for engine in ("Gunicorn", "Granian")]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> dict[str, Any]:
    given: dict[str, Any] = request.param
    return given


@pytest.fixture
def running(server: dict[str, Any], tmp_path: Path) -> Iterator[Running]:
    metrics_port, heartbeat = free_port(), tmp_path / "heartbeat"
    for directory in (heartbeat, tmp_path / "metrics"):
        directory.mkdir()
    rendered = container(server, metrics_port, tmp_path)
    environment = {entry["name"]: entry["value"] for entry in rendered["env"]}
    arguments = environment.get("GUNICORN_CMD_ARGS", "")
    assert (HEARTBEAT_DIRECTORY in arguments) is (server["engine"] == "Gunicorn")
    if arguments:
        # The volume of the pod is a directory of the test here; all else is as rendered.
        environment["GUNICORN_CMD_ARGS"] = arguments.replace(HEARTBEAT_DIRECTORY, str(heartbeat))
    program, *rest = rendered["command"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [APP_BIN / program, *rest],
            env={"PATH": os.defpath, **environment},
            cwd=Path(__file__).parent / "served",
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        port = rendered["ports"][0]["containerPort"]
        found = Running(process, port, metrics_port)
        until(lambda: process.poll() is not None or answers(found, server["workers"]))
        assert process.poll() is None, log.read_text()
        yield found
    finally:
        # Its workers too: in a pod they end with the first process, but not here.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert "Traceback" not in log.read_text()


def answers(running: Running, workers: int) -> bool:
    """Whether all of its workers serve."""
    try:
        # The listener for metrics begins earlier than the server's.
        socket.create_connection(("127.0.0.1", running.port)).close()
        return running.sample("fastapi_worker_processes") == workers
    except (OSError, http.client.HTTPException):
        return False


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@of(*ALONE, *IN_PAIRS)
def test_requests_in_flight_complete_and_idle_connections_close(running: Running) -> None:
    with running.idle_connection() as idle, concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        under_way = [pool.submit(running.get, "/slow?seconds=1") for _ in range(CLIENTS)]
        until(lambda: running.sample("http_server_active_requests") == CLIENTS)
        seconds = running.seconds_to_end()
        assert [answer.result()[0] for answer in under_way] == [200] * CLIENTS
        assert idle.recv(1) == b""
    # The idle connection held nothing up.
    assert seconds < GRACEFUL_SECONDS


@of(*ALONE)
def test_a_request_that_does_not_end_is_cut_off_in_time(running: Running) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        endless = pool.submit(running.get, "/slow?seconds=60")
        until(lambda: running.sample("http_server_active_requests") == 1)
        seconds = running.seconds_to_end()
        assert GRACEFUL_SECONDS - 0.5 < seconds < GRACEFUL_SECONDS + 3
        # uvicorn still returns 500; the others close the connection.
        with contextlib.suppress(OSError, http.client.HTTPException):
            assert endless.result()[0] == 500


@of(*IN_PAIRS)
def test_one_page_has_the_metrics_of_all_workers(running: Running) -> None:
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(lambda _: running.get("/slow?seconds=0.01")[0], range(100)))
    assert found == [200] * 100
    until(lambda: running.sample("http_server_request_duration_seconds_count") == 100, 10)


@of(several("Uvicorn", 1), several("Gunicorn", 1))
def test_the_app_sees_address_and_scheme_of_the_client(running: Running) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    seen = json.loads(running.get("/client", **forwarded)[1])
    assert seen["host"] == "203.0.113.9"
    assert seen["url"].startswith("https://")


@of(*(server | {"keepAliveSeconds": 3} for server in ALONE))
def test_an_idle_connection_stays_open_as_long_as_planned(running: Running) -> None:
    with running.idle_connection() as idle:
        began = time.monotonic()
        assert idle.recv(1) == b""
        assert 2.5 < time.monotonic() - began < 4.5


@of(*IN_PAIRS)
def test_a_worker_that_dies_is_replaced(running: Running) -> None:
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    workers = [
        int(pid)
        for pid in children.read_text().split()
        if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: not Path(f"/proc/{workers[0]}").exists())
    until(lambda: answers(running, 2))
    assert running.get("/slow?seconds=0")[0] == 200
