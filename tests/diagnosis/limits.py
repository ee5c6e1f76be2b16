"""A memory limit for one process, as for a container: its own control group."""

import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

_ROOT = Path("/sys/fs/cgroup")


class MemoryLimit:
    """Permits a process to grow by some bytes; beyond them, the kernel kills it. Needs root."""

    def __init__(self, pid: int, *, more_bytes: int) -> None:
        unified = (_ROOT / "cgroup.controllers").exists()
        base = _ROOT if unified else _ROOT / "memory"
        self._group = base / f"fastapi-operator-diagnosis-{os.getpid()}"
        self._limit = "memory.max" if unified else "memory.limit_in_bytes"
        self._events = "memory.events" if unified else "memory.oom_control"
        self._pid = pid
        self._more_bytes = more_bytes

    def __enter__(self) -> Self:
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        self._group.mkdir()
        # Existing memory stays counted in the previous group; only new memory counts here.
        (self._group / "cgroup.procs").write_text(str(self._pid))
        moved = pages * os.sysconf("SC_PAGE_SIZE") if self._counts_existing_memory() else 0
        (self._group / self._limit).write_text(str(moved + self._more_bytes))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._group.rmdir()

    def kills(self) -> int:
        """How often the kernel has killed a process of the group."""
        found = re.search(r"^oom_kill (\d+)$", (self._group / self._events).read_text(), re.M)
        return int(found.group(1)) if found else 0

    def _counts_existing_memory(self) -> bool:
        charge = self._group / "memory.move_charge_at_immigrate"
        return charge.exists() and charge.read_text().strip() != "0"
