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
        self.metrics_port = server.free_port()
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

    def account(self) -> server.Account:
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
