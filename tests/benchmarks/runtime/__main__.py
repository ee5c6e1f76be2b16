"""Measures what the runtime adds to a small request, beside the usual libraries.

    python -m tests.benchmarks.runtime [--rounds N] [--requests N] [--only TABLE] [--write]

The first table has instructions, which repeat on any machine; it needs valgrind. The second one has
CPU time: all servers run at once, and in each round each gets the same number of requests in turn,
so that the same load is beside each.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.benchmarks import document
from tests.benchmarks.runtime import client, instructions, servers
from tests.benchmarks.runtime.instructions import Count
from tests.cluster import packages

_PEERS = Path(__file__).parent / "peers.txt"
_WARM_UP = 500
# What the runtime writes in batches belongs to the requests before.
_BATCH_SECONDS = 0.15


@contextlib.contextmanager
def _peers() -> Iterator[Path]:
    """Installs the libraries of the peers in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        install = ["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command = [str(servers.PYTHON), *install, "--target", folder, "-r", str(_PEERS)]
        subprocess.run(command, check=True)
        yield Path(folder)


def measure(libraries: Path, rounds: int, requests: int) -> dict[str, list[float]]:
    """Returns the CPU milliseconds a request of each round, by the name of the server."""
    found: dict[str, list[float]] = {kind.name: [] for kind in servers.KINDS}
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(servers.run(kind, libraries)) for kind in servers.KINDS]
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


def table_of_time(found: Mapping[str, Sequence[float]]) -> str:
    """Returns the table of CPU time: each server, relative to the bare one of the same round.

    Args:
        found: The milliseconds of each round, by the name of the server.
    """
    bare = found[servers.BARE.name]
    lines = [
        "| server | CPU a request, ms | times bare: median (quartiles) | added, of the peers' |",
        "| --- | --- | --- | --- |",
    ]
    peers = _ratio(found[servers.PEERS.name], bare)[1] - 1
    for name, times in found.items():
        low, middle, high = _ratio(times, bare)
        lines.append(
            f"| {name} | {statistics.median(times):.3f} "
            f"| {middle:.2f} ({low:.2f} to {high:.2f}) | {_share(name, middle, peers)} |"
        )
    return "\n".join(lines)


def table_of_instructions(found: Mapping[str, Count]) -> str:
    """Returns the table of instructions: the median of the runs of each server."""
    lines = [
        "| server | instructions a request, thousands | runs differ by | times bare "
        "| added, of the peers' |",
        "| --- | --- | --- | --- | --- |",
    ]
    bare = found[servers.BARE.name].middle
    peers = found[servers.PEERS.name].middle / bare - 1
    for name, count in found.items():
        times = count.middle / bare
        lines.append(
            f"| {name} | {count.middle:.1f} | {100 * count.spread:.1f} % | {times:.3f} "
            f"| {_share(name, times, peers)} |"
        )
    return "\n".join(lines)


def _share(name: str, times: float, peers: float) -> str:
    return f"{(times - 1) / peers:.2f}" if name.startswith("the runtime") else ""


def _ratio(times: Sequence[float], bare: Sequence[float]) -> list[float]:
    ratios = [each / least for each, least in zip(times, bare, strict=True)]
    return statistics.quantiles(ratios, n=4)


def main() -> None:
    """Measures, prints the tables, and with --write puts them into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=500, help="of each server in a round")
    parser.add_argument("--only", choices=["instructions", "time"], help="one of the tables")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    facts, texts = document.machine(), {}
    os.sched_setaffinity(0, {servers.CLIENT_CORE})
    with _peers() as libraries:
        if chosen.only != "time":
            packages.ensure({"valgrind": "valgrind"})
            counts = {kind.name: instructions.count(kind, libraries) for kind in servers.KINDS}
            texts["runtime instructions"] = (
                f"{facts}, {instructions.RUNS} runs of each server.\n\n"
                f"{table_of_instructions(counts)}"
            )
        if chosen.only != "instructions":
            found = measure(libraries, chosen.rounds, chosen.requests)
            texts["runtime"] = (
                f"{facts}, {chosen.rounds} interleaved rounds.\n\n{table_of_time(found)}"
            )
    for section, text in texts.items():
        print(text)
        if chosen.write:
            document.write(section, text)


if __name__ == "__main__":
    main()
