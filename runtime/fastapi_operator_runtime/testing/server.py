"""The common base of the servers of a test session: a directory, a free port, a process."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict

START_SECONDS = 60.0
UNPRIVILEGED = "nobody"


class Account(TypedDict, total=False):
    """The arguments of Popen that select a user; empty for the tests' own user."""

    user: int
    group: int
    extra_groups: list[int]


class MissingProgram(RuntimeError):
    """A program that the tests need is not installed."""


class Server:
    """A server program with its own directory and port.

    `pause` and `resume` freeze it, as if the machine hung. `kill` and `start` are a crash and a
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
        """Creates the data directory and the configuration."""

    def command(self) -> Sequence[str]:
        """The command that runs the server in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The variables of the server's environment."""
        return dict(os.environ)

    def account(self) -> Account:
        """The arguments of Popen that select the user."""
        return run_as()

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts the server and waits until it is ready."""
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
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.log_path.read_text()}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Whether the server accepts connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    @property
    def log_path(self) -> Path:
        """Returns the output of the server."""
        return self.directory / "log"

    def kill(self) -> None:
        """Kills the server."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stops the server as an administrator would."""
        self._end(signal.SIGINT)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Freezes the server: connections stay open, but it does not respond."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stops the server and removes its data."""
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


def find_program(names: Sequence[str], package: str) -> str:
    """Returns the first installed program of `names`.

    Raises:
        MissingProgram: None is installed; the message names Debian's package.
    """
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
        if found:
            return found
    raise MissingProgram(f"{names[0]} is not installed: apt-get install {package}")


# The kernel gives no port below 32768 to a client, which could take it before the server starts.
# Each process counts from a random one, so tests that run at the same time rarely share one.
_ports = itertools.islice(itertools.cycle(range(10_000, 30_000)), secrets.randbelow(20_000), None)


def free_port() -> int:
    """Returns a local port on which no process listens."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the cycle does not end")


def run_as() -> Account:
    """Returns the arguments of Popen that drop root, which PostgreSQL requires."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(UNPRIVILEGED)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def give_to_unprivileged(*paths: Path) -> None:
    """Gives `paths` to the account that `run_as` uses."""
    account = pwd.getpwnam(UNPRIVILEGED)
    for path in paths:
        os.chown(path, account.pw_uid, account.pw_gid)
