"""The heartbeats of a pod's event loops, from which the probe port responds.

A task in the event loop of each worker reports its state twice a second. Another thread reads the
reports: if the loop is busy, the report is a moment old; if the loop is stuck, the report ages.
The workers of a pod report in files of a directory that they share, because only one of them holds
the probe port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fastapi_operator_runtime import processes, state

INTERVAL_SECONDS = 0.5
_NAME = "heartbeat_{}.json"


@dataclass(frozen=True)
class Report:
    """The state of one worker at its last heartbeat.

    Times are of the monotonic clock, which all processes of a machine share.
    """

    pid: int
    at: float
    started: bool
    draining: bool
    checked_at: float | None = None
    """Time of the last checks of dependencies; None if there are none."""
    failed: Mapping[str, str] = field(default_factory=dict)


class Reports:
    """The last report of each worker of the pod.

    Args:
        directory: The directory that the workers share; None if there is one worker.
    """

    def __init__(self, directory: str | None) -> None:
        self._directory = Path(directory) if directory else None
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
        self._own: Report | None = None

    def write(self, report: Report) -> None:
        """Replaces the report of this process."""
        self._own = report
        if self._directory is None:
            return
        path = self._directory / _NAME.format(report.pid)
        unfinished = path.with_suffix(".tmp")
        with contextlib.suppress(OSError):  # a full disk must not stop the heartbeat
            unfinished.write_text(json.dumps(asdict(report)))
            unfinished.replace(path)

    def remove(self) -> None:
        """Removes the report of this process."""
        report, self._own = self._own, None
        if self._directory is not None and report is not None:
            with contextlib.suppress(OSError):
                (self._directory / _NAME.format(report.pid)).unlink()

    def read(self) -> list[Report]:
        """Returns the reports of all running workers."""
        own = self._own
        return [*([own] if own else []), *self._others(own)]

    def _others(self, own: Report | None) -> Iterator[Report]:
        if self._directory is None:
            return
        for path in sorted(self._directory.glob(_NAME.format("*"))):
            with contextlib.suppress(OSError, ValueError, TypeError):
                report = Report(**json.loads(path.read_text()))
                if own is not None and report.pid == own.pid:
                    continue
                if processes.written_by_living(report.pid, path.stat().st_mtime):
                    yield report


class Heartbeat:
    """Reports the state of this worker, from its event loop.

    Args:
        worker: The state of this process.
        reports: Destination of the reports.
        check: Returns the failed checks of dependencies with their reasons; None if there are no
            checks.
        check_seconds: Time between two checks.
    """

    def __init__(
        self,
        worker: state.Worker,
        reports: Reports,
        *,
        check: Callable[[], Awaitable[Mapping[str, str]]] | None = None,
        check_seconds: float = 2.0,
    ) -> None:
        self._worker = worker
        self.reports = reports
        self._check = check
        self._check_seconds = check_seconds
        self._checked_at: float | None = float("-inf") if check is not None else None
        self._failed: Mapping[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts reporting in the running event loop."""
        self.beat()
        self._tasks = [asyncio.create_task(self._run(), name="fastapi-operator-heartbeat")]
        if self._check is not None:
            checking = self._check_forever(self._check)
            self._tasks.append(asyncio.create_task(checking, name="fastapi-operator-checks"))

    async def stop(self) -> None:
        """Stops reporting, and withdraws the report."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.reports.remove()

    def beat(self) -> None:
        """Reports the present state."""
        report = Report(
            pid=os.getpid(),
            at=time.monotonic(),
            started=self._worker.started,
            draining=self._worker.draining,
            checked_at=self._checked_at,
            failed=self._failed,
        )
        self.reports.write(report)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            self.beat()

    async def _check_forever(self, check: Callable[[], Awaitable[Mapping[str, str]]]) -> None:
        while True:
            self._failed = await check()
            self._checked_at = time.monotonic()
            await asyncio.sleep(self._check_seconds)
