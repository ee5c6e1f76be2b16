"""Debian packages that are unpacked, not installed, once for all processes that need them."""

from collections.abc import Callable
from pathlib import Path

from tests.cluster import execution, places
from tests.cluster.made_once import made_once


def unpacked(name: str, download: Callable[[Path], None]) -> Path:
    """Returns the root folder of packages, from the cache; it is there whole or not at all.

    Args:
        name: Of the folder in the cache.
        download: Puts the packages into an empty folder.

    Raises:
        ClusterError: A package cannot be downloaded or unpacked.
    """

    def make(folder: Path) -> Path:
        download(folder)
        for package in folder.glob("*.deb"):
            execution.output_of(("dpkg-deb", "--extract", package, folder / "root"))
        return folder / "root"

    cached = places.cache() / "unpacked" / name
    return made_once(cached, make, lock=name, what=f"Debian's {name}")
