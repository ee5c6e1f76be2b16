"""python -m tests.resilience [--only WORD ...] [--runs N] [--requests N] [--resume] [--write]

Changes a running service under a constant load, one change after the other, and counts the requests
that were lost. All changes are made once, then all once more, until each has its runs. Each run is
recorded in build/resilience.json as it ends; --resume continues after the last one. Each lost
request is described in build/resilience-lost.jsonl, with the lines of the pods' logs about it. The
table in docs/benchmarks.md is written from the record.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from tests.benchmarks import document
from tests.cluster import progress
from tests.resilience import crowd, figures
from tests.resilience.logs import Logs
from tests.resilience.measure import prepared, run
from tests.resilience.record import Record
from tests.resilience.scenarios import SCENARIOS, Bench, Scenario

# Three runs have 100,000 requests.
RUNS, REQUESTS, RATE = 3, 33_334, 200


def main() -> int:
    """Runs the cases; returns 1 if a promise was broken."""
    options = _options()
    record = Record()
    scenarios = [scenario for scenario in SCENARIOS if options.chosen(scenario.name)]
    crowds = [name for name in crowd.CASES if options.chosen(name)]
    if options.resume:
        crowds = [name for name in crowds if record.crowd(name) is None]
    else:
        for scenario in scenarios:
            record.forget(scenario.name)
    missing = [
        scenario
        for number in range(options.runs)
        for scenario in scenarios
        if len(record.runs(scenario.name)) <= number
    ]
    held = True
    if missing or crowds:
        with prepared() as (bench, logs):
            for scenario in missing:
                held &= _run(bench, logs, record, scenario, options)
            for name in crowds:
                held &= _gather(bench, record, name)
    if options.write:
        document.write("resilience", tables(record), measured=record.began())
    return 0 if held else 1


def tables(record: Record) -> str:
    """The record as tables, in the order of the scenarios."""
    changes = [
        figures.row(scenario.name, runs)
        for scenario in SCENARIOS
        if (runs := record.runs(scenario.name))
    ]
    crowds = [row for name in crowd.CASES if (row := record.crowd(name))]
    cores = f"{os.cpu_count()} cores, shared by all processes."
    return "\n\n".join(
        (cores, _table(figures.HEADINGS, changes), _table((*crowd.HEADINGS, "load"), crowds))
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], help="parts of the names of cases to run"
    )
    parser.add_argument("--runs", type=int, default=RUNS, help="of each change")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="minimum in each run")
    parser.add_argument("--rate", type=float, default=RATE, help="requests per second")
    parser.add_argument("--resume", action="store_true", help="keep the recorded runs")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    options.chosen = lambda name: any(word in name for word in options.only)
    if not any(options.chosen(name) for name in (*(s.name for s in SCENARIOS), *crowd.CASES)):
        parser.error(f"no case has one of {options.only} in its name")
    return options


def _run(
    bench: Bench, logs: Logs, record: Record, scenario: Scenario, options: argparse.Namespace
) -> bool:
    """Runs and records one change; returns whether it kept its promises."""
    progress.say(f"{scenario.name} ...")
    try:
        with logs.watched():
            outcome = run(bench, scenario, requests=options.requests, rate=options.rate)
            described = record.add_losses(outcome, logs)
    except AssertionError as error:
        print(f"{scenario.name}: {error}", flush=True)
        return False
    print(outcome.report(), flush=True)
    if described:
        print(f"  each lost request: {described}", flush=True)
    record.add_run(scenario.name, outcome.figures())
    return not outcome.broken


def _gather(bench: Bench, record: Record, name: str) -> bool:
    progress.say(f"{name} ...")
    try:
        found = crowd.gather(bench, name)
    except AssertionError as error:
        print(f"{name}: {error}", flush=True)
        return False
    print(found.report(), flush=True)
    record.set_crowd(name, found.row())
    return not found.broken


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "Not run yet."
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
