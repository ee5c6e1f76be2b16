"""Commands that end by themselves: their output, or an error with their output."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster import failures


def output_of(
    command: Sequence[str | Path],
    *,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs a command and returns its standard output.

    Raises:
        ClusterError: It failed; with the last lines that it printed.
    """
    result = subprocess.run(
        [str(word) for word in command],
        check=False,
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    if result.returncode:
        output = (result.stdout + result.stderr).strip().splitlines()
        words = shlex.join(str(word) for word in command)
        raise failures.ClusterError("\n".join([f"{words} failed:", *output[-10:]]))
    return result.stdout
