"""Real PostgreSQL and Redis for a test session: own data directory, free port, gone afterwards.

    @pytest.fixture(scope="session")
    def postgres():
        with testing.PostgresServer() as server:
            yield server

Nothing is skipped where a program is missing: the error names the package to install.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

START_SECONDS = 60.0


class MissingProgram(RuntimeError):
    """A program that the tests need is not installed."""


class Server:
    """A server program with a directory and a port of its own.

    `pause` and `resume` freeze it as a hung machine would; `kill` and `start` are a crash and a
    restart with the same data on the same port.
    """

    name = "server"

    def __init__(self) -> None:
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def prepare(self) -> None:
        """Make the data directory and the configuration."""

    def command(self) -> Sequence[str]:
        """The command that runs the server in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The variables that the server sees."""
        return dict(os.environ)

    def account(self) -> dict[str, Any]:
        """The arguments of Popen that choose the user."""
        return run_as()

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self.environment(),
                **self.account(),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.log_path.read_text()}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether the server accepts connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def log_path(self) -> Path:
        """What the server has printed."""
        return self.directory / "log"

    def kill(self) -> None:
        """Stop the server without any grace."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server as an administrator would."""
        self._end(signal.SIGINT)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The server is frozen: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class PostgresServer(Server):
    """PostgreSQL with a superuser `app` and password authentication."""

    name = "postgres"

    def __init__(self) -> None:
        super().__init__()
        self._bin = postgres_directory()
        self.password = secrets.token_urlsafe(12)

    def prepare(self) -> None:
        """Run initdb."""
        self.directory.chmod(0o755)
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        if os.geteuid() == 0:
            give_to_unprivileged(self.directory, password_file)
        subprocess.run(
            [
                str(self._bin / "initdb"), f"--pgdata={self.directory / 'data'}", "--username=app",
                f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8",
                "--locale=C", "--no-sync", "--no-instructions",
            ],
            check=True, stdout=subprocess.DEVNULL, cwd=self.directory, **self.account(),
        )  # fmt: skip

    def command(self) -> Sequence[str]:
        """Without durability: the data does not outlive the tests."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "16MB",
            "max_connections": "200",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self.directory / "data"), *flags]

    def answers(self) -> bool:
        """Ready for queries; during start-up connections are refused with an error."""
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def kill(self) -> None:
        """PostgreSQL's own immediate shutdown: its children must not outlive it."""
        self._end(signal.SIGQUIT)

    def url(self, database: str = "postgres") -> str:
        """A postgresql:// URL of `database`."""
        return f"postgresql://app:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database, a copy of `template` where given, and return its URL."""
        copy = f' TEMPLATE "{template}"' if template else ""
        self.execute(f'CREATE DATABASE "{name}"{copy}')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and end its connections."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run one statement in psql and return its unadorned output."""
        return subprocess.run(
            [
                str(self._bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                "-d", self.url(database), "-c", statement,
            ],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip


class RedisServer(Server):
    """Redis as the operator provisions it for a cache: user `app` by ACL, no persistence."""

    name = "redis"

    def __init__(self) -> None:
        super().__init__()
        self._program = find_program(("redis-server", "valkey-server"), "redis-server")
        self.password = secrets.token_urlsafe(12)

    def prepare(self) -> None:
        """Write redis.conf."""
        self.directory.chmod(0o755)
        (self.directory / "redis.conf").write_text(
            "bind 127.0.0.1\n"
            f"port {self.port}\n"
            'save ""\n'
            "appendonly no\n"
            "maxmemory 32mb\n"
            "maxmemory-policy allkeys-lru\n"
            "user default off\n"
            f"user app on >{self.password} ~* &* +@all -@admin\n"
        )
        if os.geteuid() == 0:
            give_to_unprivileged(self.directory)

    def command(self) -> Sequence[str]:
        """With its configuration file."""
        return [self._program, str(self.directory / "redis.conf")]

    @property
    def url(self) -> str:
        """A redis:// URL with user and password."""
        return f"redis://app:{self.password}@127.0.0.1:{self.port}/0"


class AppServer(Server):
    """An application in a real uvicorn, with as many workers as asked for.

    Args:
        app: What uvicorn runs, such as `shop.main:app`.
        environment: Variables for the application; PATH alone is inherited.
        workers: Worker processes.
        arguments: Further arguments of uvicorn.
        app_directory: Where the application's module is found.
    """

    name = "uvicorn"

    def __init__(
        self,
        app: str,
        *,
        environment: Mapping[str, str] | None = None,
        workers: int = 1,
        arguments: Sequence[str] = (),
        app_directory: Path | None = None,
    ) -> None:
        super().__init__()
        self._app = app
        self._workers = workers
        self._arguments = list(arguments)
        self._app_directory = app_directory or self.directory
        self.metrics_port = free_port()
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "METRICS_PORT": str(self.metrics_port),
            **(environment or {}),
        }
        if workers > 1:
            self._environment.setdefault(
                "PROMETHEUS_MULTIPROC_DIR", str(self.directory / "metrics")
            )

    @property
    def url(self) -> str:
        """Where the application answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        """Where the metrics are."""
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    def command(self) -> Sequence[str]:
        """Uvicorn of the running interpreter."""
        return [
            sys.executable, "-m", "uvicorn", self._app, "--app-dir", str(self._app_directory),
            "--host", "127.0.0.1", "--port", str(self.port), "--workers", str(self._workers),
            *self._arguments,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """What was asked for, and nothing of the tests' own."""
        return dict(self._environment)

    def account(self) -> dict[str, Any]:
        """The tests' own user: it can read the application."""
        return {}

    def answers(self) -> bool:
        """Ready, and every worker has begun to report."""
        if not super().answers():
            return False
        with contextlib.suppress(OSError):
            return self.sample("fastapi_worker_processes") == self._workers
        return False

    def sample(self, name: str, **labels: str) -> float:
        """The sum of the metric's samples that have these labels; 0 where there is none."""
        with urllib.request.urlopen(self.metrics_url, timeout=5) as response:
            text = response.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def worker_pids(self) -> list[int]:
        """The processes that serve: the server itself, or the children that uvicorn spawned."""
        if self._workers == 1:
            return [self.pid]
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        found = []
        for child in children:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
        return found

    def log_lines(self) -> list[dict[str, Any]]:
        """What the application has logged as JSON."""
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def terminate(self) -> None:
        """Send SIGTERM, and do not wait."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        assert self._process is not None
        return self._process.wait(timeout=20)


def postgres_directory() -> Path:
    """Where initdb and postgres are: Debian keeps them off PATH, by version.

    Raises:
        MissingProgram: PostgreSQL's server is not installed.
    """
    versions = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if versions:
        return Path(max(versions, key=lambda path: int(re.findall(r"\d+", path)[0]))).parent
    return Path(find_program(("initdb",), "postgresql")).resolve().parent


def find_program(names: Sequence[str], package: str) -> str:
    """The first of `names` that is installed.

    Raises:
        MissingProgram: None is; the message names Debian's package.
    """
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise MissingProgram(f"{names[0]} is not installed: apt-get install {package}")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run_as() -> dict[str, Any]:
    """The arguments of Popen that drop root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def give_to_unprivileged(*paths: Path) -> None:
    """Give `paths` to the account that `run_as` uses."""
    account = pwd.getpwnam("nobody")
    for path in paths:
        os.chown(path, account.pw_uid, account.pw_gid)
