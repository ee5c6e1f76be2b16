"""Whether a process that has written a file still runs."""

from __future__ import annotations

import os
from pathlib import Path


def written_by_living(pid: int, written_at: float) -> bool:
    """Returns whether process `pid` runs and is old enough to have written at `written_at`.

    If a container restarts, it finds the files of its predecessor, with the same few numbers.
    """
    if not os.path.isdir("/proc/self"):  # no procfs (macOS): check only that it exists
        return _exists(pid)
    try:
        started_at = os.stat(f"/proc/{pid}").st_mtime
        # The state follows the name, which is in parentheses and can contain parentheses.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    # If it was killed and its parent has not noticed yet, it is dead as well.
    if state in ("Z", "X"):
        return False
    # The date of a mapped file can lag; one second also covers the resolution of the clock.
    return started_at <= written_at + 1.0


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
