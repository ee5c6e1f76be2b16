"""Measures goodput at several times the load that a service can serve.

    python -m tests.benchmarks.overload [--rivals] [--only WORD ...] [--at N ...] [--seconds N]
        [--rounds N] [--resume] [--minutes N] [--write]

Requests arrive on schedule, whether or not earlier ones have a response, and count if they are
served within two seconds. The pods share one core and the generator has the other one. All of it
takes about 80 minutes. It can be done in pieces: with --resume, cells of the same code that are not
void are kept, and with --minutes no new cell begins after that time.

With --rivals, servers of others get the same load as the service instead, at one and ten times its
capacity; that takes about 45 minutes.
"""

import argparse
import concurrent.futures
import functools
import os
from collections.abc import Callable, Mapping

from tests.benchmarks import document
from tests.benchmarks.overload import bench, cells, changes, comparison, load, tables
from tests.benchmarks.overload.cells import Around, Run, Series, Work
from tests.benchmarks.overload.kept import Kept
from tests.benchmarks.overload.load import Seen
from tests.benchmarks.overload.session import Options, Session, in_session, open_loop
from tests.cluster import progress

_CHANGE_SECONDS = 60
_CHANGED = "JSON"
_DURING_SECONDS = 10
_PRIORITY_RATE = 20

SHORT = Options(
    only=("JSON, unmodified",), multiples=(cells.REFERENCE, cells.LARGEST), seconds=5, rounds=1
)


def _measure(
    session: Session,
    work: Work,
    options: Options,
    found: list[Series],
    others: dict[str, tuple[float, Seen]],
) -> None:
    """Measures all loads of one work, and what else is measured with its service."""
    series = Series(work, session.capacity(work.name, lambda: session.service(work)[1]))
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


def _load(session: Session, work: Work, rate: float, options: Options) -> Run:
    service, url = session.service(work)
    return open_loop(session.node(), service, url, rate, options.seconds)


def _other(session: Session, work: Work, series: Series, measure: "_Measure") -> Run:
    service, url = session.service(work)
    busy = bench.busy_percent()
    seen = measure(service, url, series.capacity)
    session.node().pin()
    return Run(seen, Around(), 0.0, busy)


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
    found: list[Series] = []
    others: dict[str, tuple[float, Seen]] = {}

    def measure(session: Session) -> None:
        for work in cells.WORKS:
            if any(word in work.name for word in options.only):
                _measure(session, work, options, found, others)

    facts = in_session(options, Kept.of_code(resume=options.resume), measure)
    return f"{facts}\n\n{tables.text(found, others)}"


def main() -> None:
    """Measures, prints the tables, and with --write puts them into docs/benchmarks.md."""
    usual = Options()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rivals", action="store_true", help="measure servers of others")
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
    section = "rivals" if chosen.rivals else "overload"
    text = comparison.measured(options) if chosen.rivals else measured(options)
    print(f"\n{text}\n\nload at the end {os.getloadavg()[0]:.1f}")
    if chosen.write:
        document.write(section, text)


if __name__ == "__main__":
    main()
