"""Datadog's and New Relic's own agents in each server, against a receiver of the test.

The command and the environment are those that the operator renders.
"""

import contextlib
import gzip
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi_operator_runtime.testing.server import free_port

from tests.charts.conftest import ROOT
from tests.cluster import certificates
from tests.kubectl import eventually
from tests.unit.resources.operands import container, wanted

AGENTS = ROOT / "tests/full/agents"
# New Relic's agent accepts keys of 40 characters.
KEY = "0123456789abcdef" * 2 + "01234567"
WORKERS = 2
REQUESTS = 20


class Receiver(http.server.ThreadingHTTPServer):
    """Stands for the Datadog Agent and, with a certificate, for New Relic's collector.

    Attributes:
        traces: Bodies of Datadog's traces.
        traced: The number of traces in them.
        calls: Arguments of New Relic's calls, by method.
        keys: The licence keys of the calls.
    """

    daemon_threads = True

    def __init__(self, certificate: tuple[Path, Path] | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.traces: list[bytes] = []
        self.traced = 0
        self.calls: dict[str, list[Any]] = {}
        self.keys: set[str] = set()
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def answer(self, path: str, count: str, body: bytes) -> Any:
        """Records a message, and returns the answer that the agent expects."""
        called = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        method = called.get("method")
        if method is None:
            if path.endswith("/traces"):
                self.traces.append(body)
                self.traced += int(count)
            return {"endpoints": ["/v0.4/traces"]}
        self.keys.add(called["license_key"])
        self.calls.setdefault(method, []).append(json.loads(body))
        if method == "preconnect":
            return {"return_value": {"redirect_host": "127.0.0.1"}}
        if method == "connect":
            often = {"report_period_ms": 500, "harvest_limits": {"analytic_event_data": 1000}}
            return {"return_value": {"agent_run_id": "1", "event_harvest_config": often}}
        return {"return_value": []}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self._body()
        count = self.headers.get("X-Datadog-Trace-Count", "0")
        answer = json.dumps(self.server.answer(self.path, count, body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = do_POST  # noqa: N815 (names of the base class)

    def _body(self) -> bytes:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        encoding = self.headers.get("Content-Encoding", "identity")
        decode = {"gzip": gzip.decompress, "deflate": zlib.decompress}
        return decode[encoding](body) if encoding in decode else body

    def log_message(self, *_arguments: object) -> None:
        pass


@contextlib.contextmanager
def receiving(certificate: tuple[Path, Path] | None = None) -> Iterator[Receiver]:
    """A receiver for the length of a block."""
    with Receiver(certificate) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield receiver
        receiver.shutdown()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of a virtual environment as in an image with both agents."""
    folder = tmp_path_factory.mktemp("agents")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin/pip", "install", "--quiet", "--require-hashes"]
    subprocess.run([*install, "-r", AGENTS / "requirements.txt"], check=True)
    return folder / "bin"


@pytest.fixture(params=["Uvicorn", "Gunicorn", "Granian"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.contextmanager
def serving(
    programs: Path, folder: Path, engine: str, agent: str, secret: str, **variables: str
) -> Iterator[str]:
    """Runs the container of the app, and yields the URL of the items."""
    port = free_port()
    objects = wanted(
        image="registry.example.com/shop:1.4.2",
        app="served:app",
        port=port,
        redis=None,
        postgres=None,
        server={"engine": engine, "workerPolicy": "Fixed", "workers": WORKERS},
        env=[{"name": name, "value": value} for name, value in variables.items()],
        observability={"agent": {"engine": agent, "secretRef": {"name": "agent"}}},
    )
    app = container(objects, "Deployment/shop", "app")
    environment = {
        entry["name"]: entry["value"].replace("/run/heartbeat", str(folder))
        if "value" in entry
        else secret
        for entry in app["env"]
    }
    search = f"{programs}{os.pathsep}{os.environ['PATH']}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            app["command"],
            cwd=AGENTS,
            env={**environment, "PATH": search, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
            stdout=log,
            stderr=log,
            executable=programs / app["command"][0],
        )
    try:
        yield f"http://127.0.0.1:{port}/items"
    except BaseException:
        print((folder / "log").read_text())
        raise
    finally:
        process.terminate()
        process.wait(30)


def ask(url: str) -> int | None:
    """The process that served a request; None if there was none."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return int(json.load(response)["process"])
    except OSError:
        return None


def test_datadog_gets_a_trace_of_each_request(programs: Path, tmp_path: Path, engine: str) -> None:
    with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.server_port}"
        with serving(programs, tmp_path, engine, "Datadog", url) as items:
            eventually(lambda: ask(f"{items}/0") is not None, seconds=60, what="the app responds")
            eventually(lambda: receiver.traced == 1, seconds=20, what="the first trace")
            served = {ask(f"{items}/{number}") for number in range(1, REQUESTS)}
            while len(served) < WORKERS:
                served.add(ask(f"{items}/0"))
            eventually(lambda: receiver.traced >= REQUESTS, seconds=20, what="all traces")
        text = b"".join(receiver.traces)
    for expected in (b"shop", b"GET /items/{item_id}", b"default", b"1.4.2"):
        assert expected in text


def test_new_relic_gets_the_transactions_of_each_worker(
    programs: Path, tmp_path: Path, engine: str
) -> None:
    authority = certificates.Authority(tmp_path / "ca")
    certificate = authority.issue("collector", "collector", hosts=["127.0.0.1"])
    with receiving(certificate) as receiver:
        collector = {
            "NEW_RELIC_HOST": "127.0.0.1",
            "NEW_RELIC_PORT": str(receiver.server_port),
            "NEW_RELIC_CA_BUNDLE_PATH": str(authority.certificate),
        }
        served: set[int | None] = set()

        def reported() -> bool:
            served.add(ask(f"{items}/1"))
            events = receiver.calls.get("analytic_event_data", ())
            connected = {call[0]["pid"] for call in receiver.calls.get("connect", ())}
            seen = sum(event[1]["events_seen"] for event in events)
            return seen >= REQUESTS and len(served - {None}) >= WORKERS <= len(connected & served)

        with serving(programs, tmp_path, engine, "NewRelic", KEY, **collector) as items:
            eventually(reported, seconds=90, what="the transactions of all workers")
    (connection, *_) = receiver.calls["connect"]
    assert connection[0]["app_name"] == ["shop"]
    assert receiver.keys == {KEY}
    names = {
        event[0]["name"] for call in receiver.calls["analytic_event_data"] for event in call[2]
    }
    assert names == {"WebTransaction/Function/served:read_item"}
