"""``fastapi-operator run`` as a child process."""

import os
import random
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

MAIN = "from fastapi_operator.cli.main import main; main()"


def free_port() -> int:
    """A port on which no process listens, below those that the kernel gives to connections."""
    while True:
        port = random.randrange(23_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def fetch(port: int, path: str) -> tuple[int, str]:
    """Status and text of a page of the operator; 0 while it does not listen."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Process:
    """One run of the operator."""

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        main: str = MAIN,
    ) -> None:
        self.port = free_port()
        self.log = log
        command = [sys.executable, "-c", main, "run", "--kubeconfig", str(kubeconfig)]
        command += ["--health-port", str(self.port), *options]
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                command, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
            )

    def is_working(self) -> bool:
        """Whether it reports that it is ready."""
        assert self.child.poll() is None, self.log.read_text()
        return fetch(self.port, "/readyz")[0] == 200

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it; returns its exit code."""
        self.child.send_signal(number)
        return self.child.wait(30)  # as long as the kubelet gives it
