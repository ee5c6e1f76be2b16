"""Prometheus's own checker of rules: from the PATH, else taken out of Debian's package.

The package is not installed, since it would start a server.
"""

import contextlib
import functools
import shutil
from pathlib import Path

from tests.cluster import execution, failures
from tests.unpacked import unpacked


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
    if shutil.which("apt-get") is None:
        raise NoPromtoolError("promtool is missing: install Debian's package prometheus")
    try:
        return unpacked("prometheus", _download) / "usr/bin/promtool"
    except failures.ClusterError as error:
        raise NoPromtoolError(f"promtool is missing, and apt has it not: {error}") from error


def _download(folder: Path) -> None:
    # apt-get downloads into the working directory.
    with contextlib.chdir(folder):
        execution.output_of(("apt-get", "-q", "download", "prometheus"))
