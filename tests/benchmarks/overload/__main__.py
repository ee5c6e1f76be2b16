"""Measures goodput at several times the load that a service can serve.

    python -m tests.benchmarks.overload [--only WORD ...] [--at N ...] [--seconds N] [--rounds N]

Requests arrive on schedule, whether or not earlier ones have a response, and count if they are
served within two seconds. The pods share one core and the generator has the other one.
"""

import argparse
import concurrent.futures
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks import document
from tests.benchmarks.overload import bench, cells, changes, load, tables
from tests.benchmarks.overload.cells import Run, Series, Work
from tests.benchmarks.overload.load import Seen
from tests.cluster import progress

# A closed loop of so many clients shows the capacity.
_LOOP_CLIENTS = 24
_AFTER_SECONDS, _AFTER_RATE = 8, 20
_CHANGE_SECONDS = 60
_CHANGED = "JSON"


@dataclass(frozen=True)
class Options:
    """How much is measured.

    Attributes:
        only: Parts of the names of works; empty strings match all.
        multiples: Loads, relative to the capacity.
        seconds: Length of one run.
        rounds: Runs of each cell.
        others: Whether changes, crowds and streams are measured too.
    """

    only: Sequence[str] = ("",)
    multiples: Sequence[float] = cells.MULTIPLES
    seconds: float = 20
    rounds: int = 2
    others: bool = True


SHORT = Options(
    only=("JSON, unmodified",), multiples=(cells.REFERENCE, cells.LARGEST), seconds=5, rounds=1
)


def measure(node: bench.Bench, work: Work, options: Options) -> tuple[Series, dict[str, Seen]]:
    """Measures all loads of one work, and what else is measured with its service."""
    service = node.service(work)
    url = node.url(service, work)
    load.crowd(url, clients=_LOOP_CLIENTS, seconds=3, core=bench.GENERATOR_CORE)
    loop = load.crowd(
        url, clients=_LOOP_CLIENTS, seconds=options.seconds / 2, core=bench.GENERATOR_CORE
    )
    series = Series(work, loop.goodput)
    progress.say(f"{work.name}: {series.capacity:.0f}/s in a closed loop")
    for _ in range(options.rounds):
        for multiple in options.multiples:
            run = _run(node, service, url, multiple * series.capacity, options.seconds)
            series.runs.setdefault(multiple, []).append(run)
            progress.say(" | ".join(tables.load_row(series, multiple)))
    if options.others and work.name == _CHANGED:
        return series, _others(node, service, url, series)
    return series, {}


def _run(node: bench.Bench, service: bench.Service, url: str, rate: float, seconds: float) -> Run:
    before, proxy = service.counters(), node.proxy_seconds(service)
    watch = bench.Watch(service)
    with watch.running(), concurrent.futures.ThreadPoolExecutor(1) as pool:
        afterwards = pool.submit(_after, url, seconds)
        seen = load.run(url, rate=rate, seconds=seconds, core=bench.GENERATOR_CORE)
        normal = afterwards.result().normal_after_seconds()
        proxy = node.proxy_seconds(service) - proxy
        after = service.counters()
    found = bench.around(watch, before, after, proxy, len(seen.answers))
    time.sleep(1)
    return Run(seen, found, normal)


def _after(url: str, seconds: float) -> Seen:
    """Sends a few requests from the end of the load, while its last responses are awaited."""
    time.sleep(seconds)
    return load.run(url, rate=_AFTER_RATE, seconds=_AFTER_SECONDS, core=bench.GENERATOR_CORE)


def _others(node: bench.Bench, service: bench.Service, url: str, series: Series) -> dict[str, Seen]:
    """Measures streams, a crowd and changes at twice the capacity."""
    found: dict[str, Seen] = {}
    rate = cells.REFERENCE * series.capacity
    number = changes.STREAMS_PER_POD * len(service.pods())
    with changes.idle_streams(url, number) as streams:
        progress.say(f"{len(streams)} of {number} streams are open")
        seen = load.run(url, rate=rate, seconds=10, core=bench.GENERATOR_CORE)
        if len(streams) == number:
            found[tables.DURING_STREAMS] = seen
    found[tables.DURING_CROWD] = load.crowd(
        url, clients=changes.CLIENTS, seconds=10, core=bench.GENERATOR_CORE
    )
    for name, change in changes.CHANGES.items():
        found[f"{name} at 2 times"] = changes.under_load(
            service, url, change, rate=2 * series.capacity, seconds=_CHANGE_SECONDS
        )
        node.pin()
    return found


def measured(options: Options) -> str:
    """Measures and returns the tables."""
    facts, began = document.machine(), time.monotonic()
    found: list[Series] = []
    others: dict[str, tuple[float, Seen]] = {}
    with bench.prepared() as node:
        for work in cells.WORKS:
            if any(word in work.name for word in options.only):
                series, seen = measure(node, work, options)
                found.append(series)
                others |= {name: (series.best(), item) for name, item in seen.items()}
    minutes = (time.monotonic() - began) / 60
    return f"{facts}; {minutes:.0f} minutes.\n\n{tables.text(found, others)}"


def main() -> None:
    """Measures, prints the tables, and with --write puts them into docs/benchmarks.md."""
    usual = Options()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=usual.only, help="parts of names of works")
    parser.add_argument("--at", nargs="+", type=float, default=usual.multiples, help="loads")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="length of a run")
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="runs of each cell")
    parser.add_argument("--no-others", action="store_true", help="no streams, crowds and changes")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    options = Options(chosen.only, chosen.at, chosen.seconds, chosen.rounds, not chosen.no_others)
    text = measured(options)
    print(f"\n{text}\n\nload at the end {os.getloadavg()[0]:.1f}")
    if chosen.write:
        document.write("overload", text)


if __name__ == "__main__":
    main()
