"""Injects every fault with random numbers, and prints its diagnosis.

PYTHONPATH=runtime python -m tests.diagnosis [--seed N] [--seconds N] [--write] [ROW ...]
"""

import argparse
import random
import sys

from tests.benchmarks import document
from tests.diagnosis.faults import FAULTS, HEALTHY
from tests.diagnosis.judge import Verdict, judge
from tests.diagnosis.stage import database

SECTION = "diagnosis"
# Of the faults that a rule covers, at most one may be called something else.
MISTAKES_MAX = 1
COLUMNS = (
    "| row | fault | drawn | named first | named besides | alerts (`FastAPI…`) | "
    "its page shows it |\n| --- | --- | --- | --- | --- | --- | --- |"
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
            line = _line(row, verdicts[row], options.seed)
            print(line, flush=True)
            if options.write:
                document.write(SECTION, _table(document.read(SECTION), line, machine))
    named = [verdict.right for row, verdict in verdicts.items() if row.isdigit()]
    others = [verdict.right for row, verdict in verdicts.items() if not row.isdigit()]
    rest = [verdict.rings and verdict.shows for verdict in verdicts.values()]
    print(
        f"named {sum(named)} of {len(named)}, {sum(others)} of {len(others)} others distinguished"
    )
    return 0 if all((*others, *rest)) and named.count(False) <= MISTAKES_MAX else 1


def _table(written: str, line: str, machine: str) -> str:
    """The table with a new line in the place of that on the same fault."""
    found = {_fault(known): known for known in written.splitlines() if known.startswith("| ")}
    found[_fault(line)] = line
    names = (FAULTS[row](random.Random(0)).name for row in FAULTS)
    rows = [found[name] for name in names if name in found]
    right = sum("**" not in row for row in rows)
    summary = f"{right} of {len(rows)} rows are correct; others are bold."
    return f"{machine}.\n\n{COLUMNS}\n" + "\n".join(rows) + f"\n\n{summary}"


def _fault(line: str) -> str:
    return line.split(" | ")[1]


def _line(row: str, verdict: Verdict, seed: int) -> str:
    fault = verdict.fault
    drawn = ", ".join(f"{name} {value:.3g}" for name, value in fault.drawn.items())
    first = f"`{verdict.first}`" if verdict.found else HEALTHY
    besides = ", ".join(f"`{item.rule}`" for item in verdict.found[1:])
    rings = ", ".join(name.removeprefix("FastAPI") for name in verdict.alerts) or "none"
    page = f"[{fault.page}](runbooks/{fault.page}.md)"
    cells = (
        row if row.isdigit() else "-",
        fault.name,
        f"{drawn} (seed {seed})".strip(),
        first if verdict.right else f"**{first}**, not `{fault.expected}`",
        besides,
        rings if verdict.rings else f"**{rings}**, not {fault.alert or 'any'}",
        "" if not fault.page else f"{page}" if verdict.shows else f"**not** {page}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
