"""Measures goodput at several times the load that a service can serve.

    python -m tests.benchmarks.overload [--only WORD ...] [--at N ...] [--seconds N] [--rounds N]
        [--resume] [--minutes N]

Requests arrive on schedule, whether or not earlier ones have a response, and count if they are
served within two seconds. The pods share one core and the generator has the other one. All of it
takes about 80 minutes. It can be done in pieces: with --resume, cells of the same code that are not
void are kept, and with --minutes no new cell begins after that time.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks import document
from tests.benchmarks.overload import bench, cells, changes, load, tables
from tests.benchmarks.overload.cells import Around, Run, Series, Work
from tests.benchmarks.overload.kept import Kept
from tests.benchmarks.overload.load import Seen
from tests.cluster import progress

# A closed loop of so many clients shows the capacity.
_LOOP_CLIENTS = 24
_AFTER_SECONDS, _AFTER_RATE = 8, 20
_CHANGE_SECONDS = 60
_CHANGED = "JSON"
_DURING_SECONDS = 10
_PRIORITY_RATE = 20


@dataclass(frozen=True)
class Options:
    """How much is measured.

    Attributes:
        only: Parts of the names of works; empty strings match all.
        multiples: Loads, relative to the capacity.
        seconds: Length of one run.
        rounds: Runs of each cell.
        others: Whether changes, crowds and streams are measured too.
        resume: Whether cells of the same code are kept.
        minutes: After so long no further cell begins.
    """

    only: Sequence[str] = ("",)
    multiples: Sequence[float] = cells.MULTIPLES
    seconds: float = 20
    rounds: int = 2
    others: bool = True
    resume: bool = False
    minutes: float = float("inf")


SHORT = Options(
    only=("JSON, unmodified",), multiples=(cells.REFERENCE, cells.LARGEST), seconds=5, rounds=1
)


class _OverError(Exception):
    """The time is over, and the next cell is left to the next piece."""


class _Session:
    """The node, prepared for the first cell that is not kept, and the kept cells.

    Args:
        options: How much is measured.
        kept: The cells of the same code.
        stack: Removes the node.
    """

    def __init__(self, options: Options, kept: Kept, stack: contextlib.ExitStack) -> None:
        self._kept, self._stack = kept, stack
        self._ends = time.monotonic() + 60 * options.minutes
        self._seconds = options.seconds
        self._node: bench.Bench | None = None
        self._service: tuple[Work, bench.Service, str] | None = None

    def service(self, work: Work) -> tuple[bench.Bench, bench.Service, str]:
        """Returns the node, the service of a work, ready for it, and the URL of its requests."""
        if self._node is None:
            self._node = self._stack.enter_context(bench.prepared())
        if self._service is None or self._service[0] != work:
            service = self._node.service(work)
            self._service = work, service, self._node.url(service, work)
        return self._node, *self._service[1:]

    def capacity(self, work: Work) -> float:
        """Returns the capacity of a work, as a closed loop of clients has it."""
        name = f"{work.name}, {self._seconds:g} s"
        if (kept := self._kept.capacity(name)) is not None:
            return kept
        _, _, url = self.service(work)
        clients, core = _LOOP_CLIENTS, bench.GENERATOR_CORE
        load.crowd(url, clients=clients, seconds=3, core=core)
        found = load.crowd(url, clients=clients, seconds=self._seconds / 2, core=core).goodput
        self._kept.keep_capacity(name, found)
        progress.say(f"{work.name}: {found:.0f}/s in a closed loop")
        return found

    def run(self, name: str, measure: Callable[[], Run]) -> Run:
        """Returns the kept run of a cell, or measures it.

        Raises:
            _OverError: The time is over.
        """
        cell = f"{name}, {self._seconds:g} s"
        if (kept := self._kept.run(cell)) is not None:
            return kept
        if time.monotonic() > self._ends:
            raise _OverError
        found = measure()
        self._kept.keep_run(cell, found)
        return found


def _measure(
    session: _Session,
    work: Work,
    options: Options,
    found: list[Series],
    others: dict[str, tuple[float, Seen]],
) -> None:
    """Measures all loads of one work, and what else is measured with its service."""
    series = Series(work, session.capacity(work))
    for number in range(options.rounds):
        for multiple in options.multiples:
            run = session.run(
                f"{work.name} at {multiple:g}, run {number}",
                functools.partial(_load, session, work, multiple * series.capacity, options),
            )
            series.runs.setdefault(multiple, []).append(run)
            if series not in found:
                found.append(series)
            progress.say(" | ".join(tables.load_row(series, multiple)))
    if options.others and work.name == _CHANGED:
        for name, (reference, measure) in _OTHERS.items():
            run = session.run(name, functools.partial(_other, session, work, series, measure))
            others[name] = (reference or series.best(), run.seen)


def _load(session: _Session, work: Work, rate: float, options: Options) -> Run:
    node, service, url = session.service(work)
    return _run(node, service, url, rate, options.seconds)


def _other(session: _Session, work: Work, series: Series, measure: "_Measure") -> Run:
    node, service, url = session.service(work)
    busy = bench.busy_percent()
    seen = measure(service, url, series.capacity)
    node.pin()
    return Run(seen, Around(), 0.0, busy)


def _run(node: bench.Bench, service: bench.Service, url: str, rate: float, seconds: float) -> Run:
    busy = bench.busy_percent()
    before, proxy = service.counters(), node.proxy_seconds(service)
    watch = bench.Watch(service)
    with watch.running(), concurrent.futures.ThreadPoolExecutor(1) as pool:
        afterwards = pool.submit(_after, url, seconds)
        seen = load.run(url, rate=rate, seconds=seconds, core=bench.GENERATOR_CORE)
        normal = afterwards.result().normal_after_seconds
        proxy = node.proxy_seconds(service) - proxy
        after = service.counters()
    found = bench.around(watch, before, after, proxy, seen.requests)
    return Run(seen, found, normal, busy)


def _after(url: str, seconds: float) -> Seen:
    """Sends a few requests from the end of the load, while its last responses are awaited."""
    time.sleep(seconds)
    return load.run(url, rate=_AFTER_RATE, seconds=_AFTER_SECONDS, core=bench.GENERATOR_CORE)


def _with_streams(service: bench.Service, url: str, capacity: float) -> Seen:
    number = changes.STREAMS_PER_POD * len(service.pods())
    with changes.idle_streams(url, number) as streams:
        progress.say(f"{len(streams)} of {number} streams are open")
        rate = cells.REFERENCE * capacity
        seen = load.run(url, rate=rate, seconds=_DURING_SECONDS, core=bench.GENERATOR_CORE)
    # A stream that was rejected or ended would have made room for requests.
    return seen if len(streams) == number else Seen(rate, _DURING_SECONDS)


def _with_priority(service: bench.Service, url: str, capacity: float) -> Seen:
    """Sends requests with priority beside five times the capacity of others."""
    preferred = f"http://{service.address}{bench.PRIORITY}"
    seconds, core = _DURING_SECONDS, bench.GENERATOR_CORE
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        others = pool.submit(load.run, url, rate=5 * capacity, seconds=seconds, core=core)
        seen = load.run(preferred, rate=_PRIORITY_RATE, seconds=seconds, core=core)
        others.result()
    return seen


def _with_crowd(_service: bench.Service, url: str, _capacity: float) -> Seen:
    clients, core = changes.CLIENTS, bench.GENERATOR_CORE
    return load.crowd(url, clients=clients, seconds=_DURING_SECONDS, core=core)


def _with_change(
    change: Callable[[bench.Service], None], service: bench.Service, url: str, capacity: float
) -> Seen:
    return changes.under_load(service, url, change, rate=2 * capacity, seconds=_CHANGE_SECONDS)


_Measure = Callable[[bench.Service, str, float], Seen]
# By name: the goodput to which it is relative (0 is the best one), and the measurement.
_OTHERS: Mapping[str, tuple[float, _Measure]] = {
    tables.DURING_STREAMS: (0, _with_streams),
    tables.DURING_PRIORITY: (_PRIORITY_RATE, _with_priority),
    tables.DURING_CROWD: (0, _with_crowd),
    **{
        f"{name} at 2 times": (0, functools.partial(_with_change, change))
        for name, change in changes.CHANGES.items()
    },
}


def measured(options: Options) -> str:
    """Measures and returns the tables."""
    facts, began = document.machine(), time.monotonic()
    found: list[Series] = []
    others: dict[str, tuple[float, Seen]] = {}
    end = ""
    with contextlib.ExitStack() as stack:
        session = _Session(options, Kept.of_code(resume=options.resume), stack)
        try:
            for work in cells.WORKS:
                if any(word in work.name for word in options.only):
                    _measure(session, work, options, found, others)
        except _OverError:
            end = "; unfinished, continue with --resume"
    minutes = (time.monotonic() - began) / 60
    return f"{facts}; {minutes:.0f} minutes{end}.\n\n{tables.text(found, others)}"


def main() -> None:
    """Measures, prints the tables, and with --write puts them into docs/benchmarks.md."""
    usual = Options()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=usual.only, help="parts of names of works")
    parser.add_argument("--at", nargs="+", type=float, default=usual.multiples, help="loads")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="length of a run")
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="runs of each cell")
    parser.add_argument("--resume", action="store_true", help="keep cells of the same code")
    parser.add_argument("--minutes", type=float, default=usual.minutes, help="for one piece")
    parser.add_argument("--no-others", action="store_true", help="no streams, crowds and changes")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    options = Options(
        only=chosen.only,
        multiples=chosen.at,
        seconds=chosen.seconds,
        rounds=chosen.rounds,
        others=not chosen.no_others,
        resume=chosen.resume,
        minutes=chosen.minutes,
    )
    text = measured(options)
    print(f"\n{text}\n\nload at the end {os.getloadavg()[0]:.1f}")
    if chosen.write:
        document.write("overload", text)


if __name__ == "__main__":
    main()
