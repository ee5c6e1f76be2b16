"""Folders of the cache that are made once, whole or not at all, by whichever process is first."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.cluster import locks, places


def made_once(directory: Path, make: Callable[[Path], Path], *, lock: str, what: str) -> Path:
    """Returns a folder of the cache, which the first call makes.

    Args:
        directory: The folder.
        make: Makes it below an empty folder of the same file system, and returns where.
        lock: Name of the lock that all who make such folders share.
        what: What other processes wait for, in words.
    """
    if directory.exists():
        return directory
    with locks.held(places.cache() / f"{lock}.lock", what):
        if not directory.exists():
            directory.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
                make(Path(temporary)).rename(directory)
    return directory
