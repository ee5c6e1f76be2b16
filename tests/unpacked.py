"""Debian packages that are unpacked, not installed, once for all processes that need them."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.cluster import execution, locks, places


def unpacked(name: str, download: Callable[[Path], None]) -> Path:
    """Returns the root folder of packages, from the cache; it is there whole or not at all.

    Args:
        name: Of the folder in the cache.
        download: Puts the packages into an empty folder.

    Raises:
        ClusterError: A package cannot be downloaded or unpacked.
    """
    cached = places.cache() / "unpacked" / name
    with locks.held(cached.with_suffix(".lock"), f"Debian's {name}"):
        if not cached.exists():
            with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
                download(Path(folder))
                for package in Path(folder).glob("*.deb"):
                    execution.output_of(("dpkg-deb", "--extract", package, f"{folder}/root"))
                Path(folder, "root").rename(cached)
    return cached
