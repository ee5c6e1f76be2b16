"""Measures the layers around a small request: an item of the shop's cache, and the proxy.

    PYTHONPATH=runtime python -m tests.benchmarks.layers [--rounds N] [--requests N] [--write]

The small request is JSON of 20 items from uvicorn alone. All servers run at once, on one core. In
each round, each gets the same number of requests in turn, so that the same load is beside each. The
instructions in user space repeat on a busy machine; they need valgrind.
"""

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks import document
from tests.benchmarks.layers import proxy, shop
from tests.benchmarks.runtime import client, instructions, servers
from tests.benchmarks.runtime.instructions import Count
from tests.cluster import packages

_NO_LIBRARIES = Path("/nonexistent")
_WARM_UP = 500
# What is written in batches belongs to the requests before.
_BATCH_SECONDS = 0.15
NGINX, PLAIN = "nginx with its log and counts", "a plain nginx without both"
ROWS = (servers.BARE.name, shop.NAME, NGINX, PLAIN)


def measure(kind: servers.Kind, rounds: int, requests: int) -> dict[str, list[float]]:
    """Returns the CPU milliseconds a request of each round, by row.

    Args:
        kind: The shop.
        rounds: The rounds.
        requests: The requests to each server in a round.
    """
    found: dict[str, list[float]] = {name: [] for name in ROWS}
    with contextlib.ExitStack() as stack:
        bare, cached = (
            stack.enter_context(servers.run(item, _NO_LIBRARIES)) for item in (servers.BARE, kind)
        )
        pod = stack.enter_context(proxy.running(bare.port))
        plain = stack.enter_context(proxy.plain(bare.port))
        clocks = {
            servers.BARE.name: (bare.port, bare.kind.path, bare.cpu_seconds),
            shop.NAME: (cached.port, cached.kind.path, cached.cpu_seconds),
            NGINX: (pod.port, bare.kind.path, pod.cpu_seconds),
            PLAIN: (plain.port, bare.kind.path, plain.cpu_seconds),
        }
        for port, path, _ in clocks.values():
            client.send(port, _WARM_UP, path)
        for number in range(rounds):
            for name in list(clocks) if number % 2 else reversed(clocks):
                port, path, cpu_seconds = clocks[name]
                before = cpu_seconds()
                client.send(port, requests, path)
                time.sleep(_BATCH_SECONDS)
                found[name].append((cpu_seconds() - before) * 1000 / requests)
    return found


def table(found: Mapping[str, Sequence[float]], counts: Mapping[str, Count]) -> str:
    """Returns the table: each layer, relative to the small request of the same round.

    Args:
        found: The milliseconds of each round.
        counts: The instructions of those that were counted.
    """
    lines = [
        "| layer | CPU a request, ms | of a small request: median (quartiles) "
        "| instructions, of it | runs differ by |",
        "| --- | --- | --- | --- | --- |",
    ]
    small = found[servers.BARE.name]
    for name in ROWS:
        ratios = [each / one for each, one in zip(found[name], small, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        counted = differ = ""
        if name in counts:
            counted = f"{counts[name].middle / counts[servers.BARE.name].middle:.2f}"
            differ = f"{100 * counts[name].spread:.1f} %"
        lines.append(
            f"| {name} | {statistics.median(found[name]):.3f} "
            f"| {middle:.2f} ({low:.2f} to {high:.2f}) | {counted} | {differ} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the table, and with --write puts it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--requests", type=int, default=500, help="of each server in a round")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    facts = document.machine()
    packages.ensure({"valgrind": "valgrind", "redis-server": "redis-server"})
    os.sched_setaffinity(0, {servers.CLIENT_CORE})
    with shop.cached() as kind:
        counts = {
            item.name: instructions.count(item, _NO_LIBRARIES) for item in (servers.BARE, kind)
        }
        found = measure(kind, chosen.rounds, chosen.requests)
    text = f"{facts}, {chosen.rounds} interleaved rounds.\n\n{table(found, counts)}"
    print(text)
    if chosen.write:
        document.write("layers", text)


if __name__ == "__main__":
    main()
