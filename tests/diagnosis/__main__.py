"""Every fault with random numbers, and what it was called.

PYTHONPATH=runtime python -m tests.diagnosis [--seed N] [--seconds N] [--write] [ROW ...]
"""

import argparse
import random
import sys

from tests.benchmarks import document
from tests.diagnosis.faults import FAULTS, HEALTHY
from tests.diagnosis.stage import Verdict, database, judge

SECTION = "diagnosis"
# Of the faults that a rule covers, at most one may be called something else.
MISTAKES_MAX = 1
COLUMNS = (
    "| row | fault | drawn | named first | named besides | alerts (`FastAPI…`) |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


def main() -> int:
    """Judges the chosen faults, prints a table, and fails below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--seconds", type=float, default=15, help="the window of each")
    parser.add_argument("--write", action="store_true", help="put the table into the document")
    options = parser.parse_args()
    machine = document.machine()
    verdicts = {}
    with database() as server:
        for row in options.rows or FAULTS:
            fault = FAULTS[row](random.Random(f"{options.seed} {row}"))
            verdicts[row] = judge(fault, server, seconds=options.seconds)
            print(_line(row, verdicts[row]), flush=True)
    named = [verdict.right for row, verdict in verdicts.items() if row.isdigit()]
    others = [verdict.right for row, verdict in verdicts.items() if not row.isdigit()]
    rings = [verdict.rings for verdict in verdicts.values()]
    told = (
        f"{sum(named)} of {len(named)} faults that a rule covers were named first, and "
        f"{sum(others)} of {len(others)} others told from them; {sum(rings)} of {len(rings)} "
        "raise their alert and wake nobody for another."
    )
    print(told)
    if options.write:
        head = f"{machine}; windows of {options.seconds:g} s, seed {options.seed}."
        lines = "\n".join(_line(row, verdict) for row, verdict in verdicts.items())
        document.write(SECTION, f"{head}\n\n{COLUMNS}\n{lines}\n\n{told}")
    return 0 if all(others) and all(rings) and named.count(False) <= MISTAKES_MAX else 1


def _line(row: str, verdict: Verdict) -> str:
    fault = verdict.fault
    drawn = ", ".join(f"{name} {value:.3g}" for name, value in fault.drawn.items())
    first = f"`{verdict.first}`" if verdict.found else HEALTHY
    besides = ", ".join(f"`{item.rule}`" for item in verdict.found[1:])
    rings = ", ".join(name.removeprefix("FastAPI") for name in verdict.alerts) or "none"
    cells = (
        row if row.isdigit() else "-",
        fault.name,
        drawn,
        first if verdict.right else f"**{first}**, not `{fault.expected}`",
        besides,
        rings if verdict.rings else f"**{rings}**, not {fault.alert or 'any'}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
