"""Long-running processes of an instance: started once, recorded, found again, ended.

A record holds the pid with the process's start time, because pids are used again. Each process
also carries the instance's folder in its environment, so that `down` finds processes that an
`up` started before it was killed, and their children (shims).
"""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.cluster import failures

_MARKER = "FASTAPI_OPERATOR_CLUSTER"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True)
class Process:
    """One recorded process."""

    name: str
    pid: int
    started_ticks: int

    def is_running(self) -> bool:
        """Whether that very process still runs; a zombie does not."""
        return _started_ticks(self.pid) == self.started_ticks


class Processes:
    """The processes of one instance."""

    def __init__(self, state: Path) -> None:
        """Keep records and logs below the instance's folder."""
        self._marker = str(state)
        self._records = state / "processes"
        self._logs = state / "logs"

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return self._logs / f"{name}.log"

    def all(self) -> list[Process]:
        """Every recorded process, running or not."""
        records = sorted(self._records.glob("*.json"))
        return [Process(**json.loads(record.read_text())) for record in records]

    def is_running(self, name: str) -> bool:
        """Whether the process of that name runs."""
        return any(process.name == name and process.is_running() for process in self.all())

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        network_namespace: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> bool:
        """Start a process unless it runs; return whether it was started now."""
        if self.is_running(name):
            return False
        words = [str(word) for word in command]
        if network_namespace is not None:
            # Not `ip netns exec`: that mounts a /sys without cgroups.
            words = ["nsenter", f"--net=/run/netns/{network_namespace}", *words]
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        program = shutil.which(words[0], path=_PATH)
        if program is None:
            raise failures.ClusterError(f"{words[0]}: not found in {_PATH}")
        write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        # Only named variables are inherited: a proxy variable, for example, would send the API
        # server's calls to the kubelet elsewhere.
        pid = os.posix_spawn(
            program,
            words,
            {"PATH": _PATH, "HOME": "/", **(environment or {}), _MARKER: self._marker},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log(name)), write, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        record = Process(name, pid, _started_ticks(pid) or 0)
        temporary = self._records / f"{name}.partial"
        temporary.write_text(json.dumps(dataclasses.asdict(record)))
        temporary.rename(self._records / f"{name}.json")
        return True

    def wait_until(self, name: str, is_ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait for a process to become ready.

        Raises:
            NotReadyError: It ended, or was not ready in time; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not is_ready():
            if not self.is_running(name):
                raise failures.NotReadyError(name, "ended while starting", self.log(name))
            if time.monotonic() > deadline:
                raise failures.NotReadyError(
                    name, f"was not ready after {seconds:.0f} s", self.log(name)
                )
            time.sleep(0.1)

    def stop(self, name: str, *, grace_seconds: float) -> None:
        """End a process, by force after the grace period."""
        for process in self.all():
            if process.name == name:
                _end([process], grace_seconds)
                (self._records / f"{name}.json").unlink(missing_ok=True)

    def kill_strays(self) -> None:
        """Kill processes that have this instance's mark, until none is left."""
        for _ in range(50):
            strays = list(self._strays())
            if not strays:
                return
            _end(strays, grace_seconds=0)
        raise failures.ClusterError(f"processes of {self._marker} do not end: {strays}")

    def _strays(self) -> Iterator[Process]:
        mark = f"{_MARKER}={self._marker}".encode()
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            try:
                marked = mark in (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue  # it ended meanwhile, or is another user's
            ticks = _started_ticks(int(folder.name))
            if marked and ticks is not None:
                yield Process("stray", int(folder.name), ticks)


def _end(processes: Sequence[Process], grace_seconds: float) -> None:
    first = signal.SIGTERM if grace_seconds else signal.SIGKILL
    for number, seconds in ((first, grace_seconds), (signal.SIGKILL, 10.0)):
        for process in processes:
            if process.is_running():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not any(process.is_running() for process in processes):
                return
            time.sleep(0.02)


def _started_ticks(pid: int) -> int | None:
    """Start time in clock ticks since boot (field 22 of proc(5) stat); None when it is gone."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of this very process must not stay a zombie
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
