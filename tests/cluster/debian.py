"""Programs of the images' Debian, for tests that need no node.

The machine's own may be too old: PgBouncer before 1.21 keeps no prepared statements in transaction
mode, nginx before 1.27.4 closes the connections of its clients at each reload.
"""

import hashlib
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import execution, images, locks, packages, places, progress

_UNPACK = ["mmdebstrap", "--variant=extract", *images.APT_OPTIONS]
# The libraries may be newer than the machine's, so they bring their own loader.
_LAUNCHER = """#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
set -- "$root/usr/sbin/{program}" "$@"
for loader in "$root"/usr/lib/*-linux-gnu*/ld-linux-*.so.*; do
    exec "$loader" --library-path "${{loader%/*}}" "$@"
done
"""


def ensure(program: str, *further: str) -> Path:
    """Return the folder of a program that runs here, unpacked the first time.

    The folder may be copied: it contains everything that the program needs.

    Args:
        program: A server whose package has its name.
        further: Packages that are unpacked with it, for example its modules.

    Raises:
        ClusterError: Debian's packages could not be unpacked.
    """
    recipe = f"{shlex.join([*_UNPACK, *further])}{images.SUITE}{_LAUNCHER}"
    key = hashlib.sha256(recipe.encode()).hexdigest()
    directory = places.cache() / program / key[:16]
    if directory.exists():
        return directory
    packages.ensure(packages.FOR_IMAGES)
    with locks.held(places.cache() / f"{program}.lock", program):
        if not directory.exists():
            directory.parent.mkdir(parents=True, exist_ok=True)
            with progress.step(f"{program} of Debian {images.SUITE}"):
                _unpack(program, further, directory)
    return directory


def _unpack(program: str, further: Sequence[str], directory: Path) -> None:
    with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
        made = Path(temporary) / "made"
        root = made / "root"
        root.mkdir(parents=True)
        execution.output_of(
            [*_UNPACK, f"--include={','.join((program, *further))}", images.SUITE, str(root)]
        )
        # Devices and documents are no part of a program.
        for folder in (*{*root.iterdir()} - {root / "usr"}, root / "usr/share"):
            shutil.rmtree(folder)
        server = root / "usr/sbin" / program
        if not server.exists():
            server.parent.mkdir(exist_ok=True)
            server.symlink_to(f"../bin/{program}")
        launcher = made / program
        launcher.write_text(_LAUNCHER.format(program=program))
        launcher.chmod(0o755)
        # Each user may run it, from wherever it is copied to.
        made.chmod(0o755)
        made.rename(directory)
