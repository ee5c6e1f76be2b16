"""Programs of the images' Debian, for tests that need no node.

The machine's own may be too old: PgBouncer before 1.21 keeps no prepared statements in transaction
mode, nginx before 1.27.4 closes the connections of its clients at each reload.
"""

import hashlib
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import execution, images, packages, places, progress
from tests.cluster.made_once import made_once

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
    return made_once(
        directory, lambda folder: _unpack(program, further, folder), lock=program, what=program
    )


def _unpack(program: str, further: Sequence[str], folder: Path) -> Path:
    packages.ensure(packages.FOR_IMAGES)
    with progress.step(f"{program} of Debian {images.SUITE}"):
        made = folder / "made"
        root = made / "root"
        root.mkdir(parents=True)
        execution.output_of(
            [*_UNPACK, f"--include={','.join((program, *further))}", images.SUITE, str(root)]
        )
        # Devices and documents are no part of a program.
        for needless in (*{*root.iterdir()} - {root / "usr"}, root / "usr/share"):
            shutil.rmtree(needless)
        server = root / "usr/sbin" / program
        if not server.exists():
            server.parent.mkdir(exist_ok=True)
            server.symlink_to(f"../bin/{program}")
        launcher = made / program
        launcher.write_text(_LAUNCHER.format(program=program))
        launcher.chmod(0o755)
        # Each user may run it, from wherever it is copied to.
        made.chmod(0o755)
    return made
