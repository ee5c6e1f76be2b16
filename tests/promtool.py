"""Prometheus's own checker of rules: from the PATH, else taken out of Debian's package.

The package is not installed, since it would start a server.
"""

import functools
import shutil
import subprocess
from pathlib import Path

from tests.cluster import places


class NoPromtoolError(Exception):
    """There is none, and Debian's package cannot be had."""


@functools.cache
def promtool() -> Path:
    """The program.

    Raises:
        NoPromtoolError: It is neither installed nor to be had by apt.
    """
    if found := shutil.which("promtool"):
        return Path(found)
    folder = places.cache() / "promtool"
    program = folder / "usr/bin/promtool"
    if program.exists():
        return program
    if shutil.which("apt-get") is None:
        raise NoPromtoolError("promtool is missing: install Debian's package prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            ["apt-get", "-q", "download", "prometheus"], cwd=folder, check=True, timeout=300
        )
        (package,) = folder.glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=120)
    except (subprocess.SubprocessError, ValueError) as error:
        raise NoPromtoolError(f"promtool is missing, and apt has it not: {error}") from error
    package.unlink()
    return program
