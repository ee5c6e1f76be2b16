"""The build of Go programs from pinned modules, with a line of progress each half minute."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import execution, failures, progress

# The compiler then needs two thirds of the processor time (measured on client-go): no debugger's
# data, which the linker would drop anyhow, and fewer collections. The result is the same.
_COMPILER_FLAGS = "all=-dwarf=false"
_ENVIRONMENT = {"GOGC": "400", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def build(
    source: Path,
    packages: Sequence[str],
    *,
    into: Path,
    linker_flags: str = "-s -w",
    tags: Sequence[str] = (),
    with_c: bool = False,
) -> None:
    """Builds programs.

    Args:
        source: The folder of go.mod.
        packages: The packages of the programs, relative to it.
        into: The folder of the programs, which the build creates.
        linker_flags: Flags of Go's linker.
        tags: Build tags.
        with_c: Whether the programs have code in C, so that the build needs a C compiler.

    Raises:
        ClusterError: Go is missing or the build failed.
    """
    if shutil.which("go") is None:
        raise failures.ClusterError(f"missing: go (1.26 or later) to build {packages[0]}")
    environment = {**os.environ, **_ENVIRONMENT, "CGO_ENABLED": "1" if with_c else "0"}
    go = ["go", "-C", str(source)]
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-gcflags", _COMPILER_FLAGS]
    flags += ["-tags", ",".join(tags)]
    # This also downloads the modules; packages of the standard library are among them.
    listing = [*go, "list", "-mod=readonly", "-tags", ",".join(tags), "-deps", *packages]
    needed = execution.output_of(listing, environment=environment)
    command = [*go, "build", "-v", *flags, "-ldflags", linker_flags]
    with subprocess.Popen(
        [*command, "-o", f"{into}{os.sep}", *packages],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        lines: list[str] = []
        total = len(needed.splitlines())
        reporter = threading.Thread(target=_report, args=(process, lines, total), daemon=True)
        reporter.start()
        assert process.stdout is not None
        lines.extend(line.rstrip() for line in process.stdout)
    if process.returncode:
        end = "\n".join(lines[-20:])
        raise failures.ClusterError(f"{' '.join(command[:4])} failed:\n{end}")


def _report(process: "subprocess.Popen[str]", lines: list[str], total: int) -> None:
    """Reports progress each half minute; Go prints a line for each compiled package."""
    while process.poll() is None:
        time.sleep(30)
        compiled = sum(not line.startswith("go: ") for line in lines)  # "go: downloading ..."
        if process.poll() is None:
            progress.say(f"  Go build: {compiled} of at most {total} packages compiled")
