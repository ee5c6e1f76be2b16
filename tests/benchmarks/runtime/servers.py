"""The servers that are compared, each a uvicorn process on the first core."""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-app" / "bin" / "python"
SERVER_CORE, CLIENT_CORE = 0, 1
_START_SECONDS = 300


@dataclass(frozen=True)
class Kind:
    """One way to serve the same route.

    Attributes:
        name: Its name in the table.
        factory: The function of app.py.
        arguments: Arguments of uvicorn.
        ports: Variables that get a free port.
        multiprocess: Whether the metrics are in files, as with several workers.
        environment: Other variables.
        path: The path of the requests.
    """

    name: str
    factory: str
    arguments: Sequence[str] = ()
    ports: Sequence[str] = ()
    multiprocess: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str = "/items"


PRIVATE_PORTS = ("METRICS_PORT", "PROBE_PORT", "DIAGNOSTICS_PORT")
BARE = Kind("bare uvicorn", "bare", ["--no-access-log"])
PEERS = Kind("access log, prometheus-fastapi-instrumentator, asgi-correlation-id", "peers")
KINDS = (
    BARE,
    Kind("uvicorn with its access log", "bare"),
    PEERS,
    Kind("the runtime", "runtime", ports=PRIVATE_PORTS, environment={"MAX_IN_FLIGHT": "128"}),
    Kind(
        "the runtime, metrics of several workers",
        "runtime",
        ports=PRIVATE_PORTS,
        multiprocess=True,
        environment={"MAX_IN_FLIGHT": "128"},
    ),
)


@dataclass(frozen=True)
class Server:
    """A running server."""

    kind: Kind
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Returns its CPU time."""
        return cpu_seconds(self.pid)


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of all threads of a process, which the kernel counts in nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@contextlib.contextmanager
def run(
    kind: Kind,
    libraries: Path,
    *,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Starts a server; its output goes through a pipe, as in a container.

    Args:
        kind: What it serves.
        libraries: The folder with the libraries that the app's environment does not have.
        prefix: A command that runs the server, for example to count its instructions.
        environment: Further variables.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            **os.environ,
            **(environment or {}),
            **kind.environment,
            **{name: str(_free_port()) for name in kind.ports},
            "PYTHONPATH": f"{ROOT}:{libraries}",
            "PYTHONUNBUFFERED": "1",
            "UV_USE_IO_URING": "0",  # as in pods, whose seccomp profile forbids it
        }
        if kind.multiprocess:
            variables["PROMETHEUS_MULTIPROC_DIR"] = folder
        target = f"tests.benchmarks.runtime.app:{kind.factory}"
        command = [
            *("taskset", "-c", str(SERVER_CORE), *prefix),
            *(str(PYTHON), "-m", "uvicorn", "--factory"),
            *("--port", str(port), "--log-level", "info", *kind.arguments, target),
        ]
        process = subprocess.Popen(
            command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        drain = subprocess.Popen(
            ["taskset", "-c", str(CLIENT_CORE), "cat"],
            stdin=process.stdout,
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait(process, port)
            yield Server(kind, port, process.pid)
        finally:
            process.terminate()
            process.wait()
            drain.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"no server on port {port} after {_START_SECONDS} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
