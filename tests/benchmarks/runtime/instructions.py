"""Counts the instructions of a request in user space. They repeat, whatever else the machine does.

callgrind makes a server at least 40 times as slow, and other work of the machine even slower. What
the runtime does by the clock would then count for far fewer requests than it does: earlier runs had
1.13 to 1.23 times bare for that reason. So `app.runtime` writes a batch after as many requests
as at full load, and its samplers pause. The hashes of strings are the same in each run. Nothing is
counted before the process is warm, and enough requests are counted that a collection of all objects
of the process, which costs as much as five requests, does not matter.
"""

import re
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.runtime import client, servers

SLOWNESS = 1000
RUNS = 3
_WARM_UP = 400
_REQUESTS = 1000
_SECONDS = 120


@dataclass(frozen=True)
class Count:
    """The instructions of a request, in thousands.

    Attributes:
        runs: Those of each run, of a new process.
    """

    runs: tuple[float, ...]

    @property
    def middle(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def spread(self) -> float:
        """The difference between the runs, relative to the median."""
        return (max(self.runs) - min(self.runs)) / self.middle


def count(kind: servers.Kind, libraries: Path) -> Count:
    """Returns the instructions of a request.

    Raises:
        FileNotFoundError: valgrind is not installed.
    """
    return Count(tuple(_run(kind, libraries) for _ in range(RUNS)))


def _run(kind: servers.Kind, libraries: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        command = [
            *("valgrind", "--tool=callgrind", "--quiet", "--fair-sched=yes"),
            *("--instr-atstart=no", f"--callgrind-out-file={output}"),
        ]
        changed = {"SLOWNESS": str(SLOWNESS), "PYTHONHASHSEED": "0"}
        with servers.run(kind, libraries, prefix=command, environment=changed) as server:
            _send(server, _WARM_UP)
            _control(server, "--instr=on")
            _control(server, "--zero")
            began = time.monotonic()
            _send(server, _REQUESTS)
            _control(server, "--dump")
            # Without requests, for as long: the work of its threads meanwhile.
            time.sleep(time.monotonic() - began)
            _control(server, "--dump")
            _control(server, "--instr=off")
        busy, idle = (_total(output.with_suffix(f".{number}")) for number in (1, 2))
    return (busy - idle) / _REQUESTS / 1000


def _send(server: servers.Server, requests: int) -> None:
    client.send(server.port, requests, server.kind.path)


def _total(dump: Path) -> int:
    found = re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _control(server: servers.Server, option: str) -> None:
    command = ["callgrind_control", option, str(server.pid)]
    subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
