"""The application in a real uvicorn."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from fastapi_operator_runtime.testing import server


class AppServer(server.Server):
    """An application in a real uvicorn, with the requested number of workers.

    Args:
        app: The entrypoint for uvicorn, for example `shop.main:app`.
        environment: Variables for the application; only PATH is inherited.
        workers: Worker processes.
        arguments: Further arguments of uvicorn.
        app_directory: The directory of the application's module.
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
        self.metrics_port = server.free_port()
        self.probe_port = server.free_port()
        self.diagnostics_port = server.free_port()
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "METRICS_PORT": str(self.metrics_port),
            "PROBE_PORT": str(self.probe_port),
            "DIAGNOSTICS_PORT": str(self.diagnostics_port),
            **(environment or {}),
        }
        if workers > 1:
            self._environment.setdefault(
                "PROMETHEUS_MULTIPROC_DIR", str(self.directory / "metrics")
            )

    @property
    def url(self) -> str:
        """The URL of the application."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        """The URL of the metrics."""
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def probe_url(self) -> str:
        """The URL of the probe port."""
        return f"http://127.0.0.1:{self.probe_port}"

    @property
    def diagnostics_url(self) -> str:
        """The URL of stacks and profiles."""
        return f"http://127.0.0.1:{self.diagnostics_port}"

    def command(self) -> Sequence[str]:
        """Uvicorn of the running interpreter."""
        return [
            sys.executable, "-m", "uvicorn", self._app, "--app-dir", str(self._app_directory),
            "--host", "127.0.0.1", "--port", str(self.port), "--workers", str(self._workers),
            *self._arguments,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The requested variables, without those of the tests."""
        return dict(self._environment)

    def account(self) -> server.Account:
        """The tests' own user, who can read the application."""
        return {}

    def is_ready(self) -> bool:
        """Whether the application is ready, and every worker reports."""
        if not super().is_ready():
            return False
        with contextlib.suppress(OSError):
            return self.sample("fastapi_worker_processes") == self._workers
        return False

    def sample(self, name: str, **labels: str) -> float:
        """Returns the sum of the metric's samples with these labels; 0 if there are none."""
        with urllib.request.urlopen(self.metrics_url, timeout=5) as response:
            text = response.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def worker_pids(self) -> list[int]:
        """Returns the processes that serve: the server itself, or the children of uvicorn."""
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
        """Returns the JSON log entries of the application."""
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def terminate(self) -> None:
        """Sends SIGTERM, and does not wait."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Waits for the end, and returns the exit status."""
        assert self._process is not None
        return self._process.wait(timeout=20)
