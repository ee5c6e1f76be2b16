"""Measures the CPU time that the runtime adds to a small request, beside the usual libraries.

    python -m tests.benchmarks.runtime [--rounds N] [--requests N] [--write]

All servers run at once. In each round, each gets the same number of requests in turn, so that the
same load is beside each.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import document
from tests.benchmarks.runtime import client, servers

_PEERS = Path(__file__).parent / "peers.txt"
_WARM_UP = 500
# What the runtime writes in batches belongs to the requests before.
_BATCH_SECONDS = 0.15


def measure(rounds: int, requests: int) -> dict[str, list[float]]:
    """Returns the CPU milliseconds a request of each round, by the name of the server."""
    found: dict[str, list[float]] = {kind.name: [] for kind in servers.KINDS}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        install = ["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command = [str(servers.PYTHON), *install, "--target", folder, "-r", str(_PEERS)]
        subprocess.run(command, check=True)
        running = [stack.enter_context(servers.run(kind, Path(folder))) for kind in servers.KINDS]
        for server in running:
            client.send(server.port, _WARM_UP)
        for number in range(rounds):
            for server in running if number % 2 else reversed(running):
                before = server.cpu_seconds()
                client.send(server.port, requests)
                time.sleep(_BATCH_SECONDS)
                used = server.cpu_seconds() - before
                found[server.kind.name].append(used * 1000 / requests)
    return found


def table(found: dict[str, list[float]]) -> str:
    """Returns the table: each server, relative to the bare one of the same round."""
    bare = found[servers.BARE.name]
    lines = [
        "| server | CPU a request, ms | times bare: median (quartiles) | added, of the peers' |",
        "| --- | --- | --- | --- |",
    ]
    peers = _ratio(found[servers.PEERS.name], bare)[1] - 1
    for name, times in found.items():
        low, middle, high = _ratio(times, bare)
        share = f"{(middle - 1) / peers:.2f}" if name.startswith("the runtime") else ""
        lines.append(
            f"| {name} | {statistics.median(times):.3f} | {middle:.2f} ({low:.2f} to {high:.2f}) "
            f"| {share} |"
        )
    return "\n".join(lines)


def _ratio(times: Sequence[float], bare: Sequence[float]) -> list[float]:
    ratios = [each / least for each, least in zip(times, bare, strict=True)]
    return statistics.quantiles(ratios, n=4)


def main() -> None:
    """Measures, prints the table, and with --write puts it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=500, help="of each server in a round")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    facts = document.machine()
    os.sched_setaffinity(0, {servers.CLIENT_CORE})
    text = table(measure(chosen.rounds, chosen.requests))
    text = f"{facts}, {chosen.rounds} interleaved rounds.\n\n{text}"
    print(text)
    if chosen.write:
        document.write("runtime", text)


if __name__ == "__main__":
    main()
