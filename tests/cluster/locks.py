"""Locks between processes, so that two runs of the same command wait for each other."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import progress


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on a file; report it if another process has the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"waiting for another process that uses {what}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
