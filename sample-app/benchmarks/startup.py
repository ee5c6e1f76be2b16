"""`python -m benchmarks.startup`: from the start of a process until it is ready, on one CPU."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi_operator_runtime import testing

from benchmarks import document

LONGEST_SECONDS = 30.0
POLL_SECONDS = 0.005
DATABASE_URL = "postgresql://app@127.0.0.1/shop"
"""Nothing connects before the first request."""
COMMAND = (sys.executable, "-m", "uvicorn", "shop.main:app")


@dataclass(frozen=True)
class Start:
    """One start: time until ready, and the CPU time of the whole process."""

    ready_seconds: float
    cpu_seconds: float


def start_once(command: Sequence[str]) -> Start:
    """Runs `command` on one CPU until its server is ready, then stops it."""
    cpu_before = _cpu_seconds()
    ready_seconds = _until_ready(command)
    return Start(ready_seconds, _cpu_seconds() - cpu_before)


def _cpu_seconds() -> float:
    """CPU time of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _until_ready(command: Sequence[str]) -> float:
    port = testing.free_port()
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": DATABASE_URL}
    pinned = ["taskset", "--cpu-list", "0", *command, "--port", str(port)]
    started_at = time.perf_counter()
    with subprocess.Popen(pinned, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            while not is_ready(port):
                if server.poll() is not None:
                    raise RuntimeError(f"{pinned} ended with status {server.returncode}")
                if time.perf_counter() - started_at > LONGEST_SECONDS:
                    raise TimeoutError(f"not ready after {LONGEST_SECONDS:g} s")
                time.sleep(POLL_SECONDS)
            return time.perf_counter() - started_at
        finally:
            server.terminate()


def is_ready(port: int) -> bool:
    """Returns whether the server is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def main() -> None:
    """Reads the arguments, measures, writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    parser.add_argument("command", nargs="*", default=COMMAND, help="what runs the server")
    arguments = parser.parse_args()
    start_once(arguments.command)  # reads the files from the disk once
    starts = [start_once(arguments.command) for _ in range(arguments.rounds)]
    low, middle, high = statistics.quantiles([start.ready_seconds for start in starts], n=4)
    text = (
        f"Ready after {middle:.2f} s (quartiles {low:.2f} to {high:.2f}) with one worker pinned to "
        f"one CPU; {arguments.rounds} starts, load {os.getloadavg()[0]:.1f}. CPU time from start "
        f"to stop: {statistics.median(start.cpu_seconds for start in starts):.2f} s; on an "
        "idle machine, the start would take this time.\n"
    )
    if arguments.write:
        document.write("start", text)
    print(text)


if __name__ == "__main__":
    main()
