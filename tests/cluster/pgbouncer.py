"""PgBouncer of the images' Debian, for tests that need no node.

The machine's own may be older than 1.21, the first to keep prepared statements in transaction mode.
"""

import hashlib
import shlex
import shutil
import tempfile
from pathlib import Path

from tests.cluster import execution, images, locks, packages, places, progress

_UNPACK = ["mmdebstrap", "--variant=extract", "--include=pgbouncer", *images.APT_OPTIONS]
# The libraries are newer than the machine's as well: they come with their own loader.
_LAUNCHER = """#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
set -- "$root/usr/sbin/pgbouncer" "$@"
for loader in "$root"/usr/lib/*-linux-gnu*/ld-linux-*.so.*; do
    exec "$loader" --library-path "${loader%/*}" "$@"
done
"""


def ensure() -> Path:
    """Return the folder of a `pgbouncer` that runs here, unpacked the first time.

    Raises:
        ClusterError: Debian's packages could not be unpacked.
    """
    key = hashlib.sha256(f"{shlex.join(_UNPACK)}{images.SUITE}{_LAUNCHER}".encode()).hexdigest()
    directory = places.cache() / "pgbouncer" / key[:16]
    if directory.exists():
        return directory
    packages.ensure(packages.FOR_IMAGES)
    with locks.held(places.cache() / "pgbouncer.lock", "PgBouncer"):
        if not directory.exists():
            directory.parent.mkdir(parents=True, exist_ok=True)
            with progress.step("PgBouncer"):
                _unpack(directory)
    return directory


def _unpack(directory: Path) -> None:
    with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
        made = Path(temporary) / "made"
        root = made / "root"
        root.mkdir(parents=True)
        execution.output_of([*_UNPACK, images.SUITE, str(root)])
        shutil.rmtree(root / "usr/share")
        launcher = made / "pgbouncer"
        launcher.write_text(_LAUNCHER)
        launcher.chmod(0o755)
        made.rename(directory)
