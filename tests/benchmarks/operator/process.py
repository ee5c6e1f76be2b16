"""The operator as a process of its own, as the chart starts it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.api.process import MAIN, free_port
from tests.benchmarks.operator import account


class Operator:
    """One run of the operator over the whole cluster."""

    def __init__(
        self, kubeconfig: Path, log: Path, *options: str, profile: Path | None = None
    ) -> None:
        self.port = free_port()
        self.log = log
        program = ["-c", MAIN]
        if profile is not None:
            script = log.with_suffix(".py")
            script.write_text(MAIN)
            program = ["-m", "cProfile", "-o", str(profile), str(script)]
        command = [sys.executable, *program, "run", "--kubeconfig", str(kubeconfig)]
        command += ["--health-port", str(self.port), "--lease-namespace", account.NAMESPACE]
        command += options
        self.started = time.monotonic()
        with log.open("ab") as output:
            self._child = subprocess.Popen(command, stdout=output, stderr=output)

    async def until_ready(self, *, seconds: float = 60.0) -> float:
        """Waits until the initial lists are complete; returns the duration in seconds."""
        await self._until(lambda: self._ask("/readyz") is not None, seconds)
        return time.monotonic() - self.started

    async def until_passes(self, count: int, *, seconds: float = 300.0) -> float:
        """Waits for this many passes and an empty queue; returns the seconds since the start."""

        def done() -> bool:
            values = self.metrics()
            passes = sum(
                value
                for name, value in values.items()
                if name.startswith("fastapi_operator_pass_duration_seconds_count")
            )
            return passes >= count and values["fastapi_operator_queue_depth"] == 0

        await self._until(done, seconds)
        return time.monotonic() - self.started

    def metrics(self) -> dict[str, float]:
        """Its own metrics."""
        lines = (self._ask("/metrics") or "").splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def memory_bytes(self, field: str = "VmHWM") -> int:
        """Returns the peak resident memory, or the current one with ``VmRSS``."""
        lines = Path(f"/proc/{self._child.pid}/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith(f"{field}:"))
        return int(line.split()[1]) * 1024

    def cpu_seconds(self) -> float:
        """CPU time that it has used."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Ends it as the kubelet does."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            self._child.wait(60)

    def _ask(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    async def _until(self, check: object, seconds: float) -> None:
        assert callable(check)
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(check):
                if self._child.poll() is not None:
                    raise RuntimeError(f"the operator ended: {self.log.read_text()[-2000:]}")
                await asyncio.sleep(0.1)
