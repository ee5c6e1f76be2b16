"""python -m tests.resilience [--only WORD ...] [--requests N] [--rate N] [--write]

Changes a running service under a constant load, one change after the other, and counts the requests
that were lost. Each change is recorded in build/resilience.json as it ends, so that they may be
run one by one. The table in docs/benchmarks.md is written from the record.
"""

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks import document
from tests.cluster import progress
from tests.resilience import crowd, outcome
from tests.resilience.crowd import Crowd
from tests.resilience.measure import prepared, run
from tests.resilience.outcome import Outcome
from tests.resilience.scenarios import SCENARIOS, Bench

RECORD = Path(__file__).resolve().parents[2] / "build" / "resilience.json"


def record(name: str, row: Sequence[str]) -> None:
    """Records a row, which replaces an earlier one with the same name."""
    rows = _recorded()
    rows[name] = [*row, f"{os.getloadavg()[0]:.1f}"]
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(rows, indent=1))


def tables() -> str:
    """The record as tables, in the order of the scenarios."""
    changes = _table(outcome.HEADINGS, [scenario.name for scenario in SCENARIOS])
    crowds = _table(crowd.HEADINGS, list(crowd.CASES))
    return f"{os.cpu_count()} cores, shared by all processes.\n\n{changes}\n\n{crowds}"


def _recorded() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return found


def _table(headings: Sequence[str], names: Sequence[str]) -> str:
    rows = _recorded()
    measured = [rows[name] for name in names if name in rows]
    if not measured:
        return "Not run yet."
    lines = [(*headings, "load"), ["---"] * (len(headings) + 1), *measured]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> int:
    """Runs the scenarios; returns 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[""], help="parts of the names of cases to run"
    )
    parser.add_argument("--requests", type=int, default=20_000, help="minimum in each scenario")
    parser.add_argument("--rate", type=float, default=200, help="requests per second")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    cases: dict[str, Callable[[Bench], Outcome | Crowd]] = {
        scenario.name: functools.partial(
            run, scenario=scenario, requests=options.requests, rate=options.rate
        )
        for scenario in SCENARIOS
    }
    cases |= {name: functools.partial(crowd.gather, name=name) for name in crowd.CASES}
    chosen = {
        name: case for name, case in cases.items() if any(word in name for word in options.only)
    }
    if not chosen:
        parser.error(f"no case has one of {options.only} in its name")
    broken = False
    with prepared() as bench:
        for name, case in chosen.items():
            progress.say(f"{name} ...")
            try:
                found = case(bench)
            except AssertionError as error:
                print(f"{name}: {error}", flush=True)
                broken = True
                continue
            print(found.report(), flush=True)
            record(name, found.row())
            broken = broken or bool(found.broken)
    if options.write:
        document.write("resilience", tables())
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
