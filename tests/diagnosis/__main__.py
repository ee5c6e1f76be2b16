"""Runs every fault with random numbers, and checks its diagnosis.

PYTHONPATH=runtime python -m tests.diagnosis [--seed N] [--seconds N] [--write] [FAULT ...]
"""

import argparse
import random
import sys

from tests.benchmarks import document
from tests.diagnosis.faults import FAULTS, HEALTHY, UNKNOWN
from tests.diagnosis.judge import Verdict, judge
from tests.diagnosis.stage import database

SECTION = "diagnosis"
# At most so many of the faults that a rule covers may have another first diagnosis.
MISTAKES_MAX = 1
COLUMNS = (
    "| fault | random values | first diagnosis | further diagnoses | alerts (`FastAPI…`) | "
    "runbook that shows the cause |\n| --- | --- | --- | --- | --- | --- |"
)


def main() -> int:
    """Runs the selected faults and prints a table; the exit code is 1 if too many fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "faults", nargs="*", metavar="FAULT", help=f"one of {', '.join(FAULTS)}; default: all"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--seconds", type=float, default=15, help="window of each fault")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    machine = document.machine()
    verdicts = {}
    with database() as server:
        for name in options.faults or FAULTS:
            fault = FAULTS[name](random.Random(f"{options.seed} {name}"))
            verdicts[name] = judge(fault, server, seconds=options.seconds)
            line = _line(verdicts[name], options.seed)
            print(line, flush=True)
            if options.write:
                document.write(SECTION, _table(document.read(SECTION), line, machine))
    judged = verdicts.values()
    named = [v.is_first for v in judged if v.fault.expected not in (HEALTHY, UNKNOWN)]
    others = [v.is_first for v in judged if v.fault.expected in (HEALTHY, UNKNOWN)]
    rest = [verdict.alerts_match and verdict.runbook_matches for verdict in judged]
    print(
        f"correct first diagnosis: {sum(named)} of {len(named)} faults that a rule covers, "
        f"{sum(others)} of {len(others)} others"
    )
    return 0 if all((*others, *rest)) and named.count(False) <= MISTAKES_MAX else 1


def _table(written: str, line: str, machine: str) -> str:
    """The table, in which a new line replaces the previous one of the same fault."""
    found = {_fault(known): known for known in written.splitlines() if known.startswith("| ")}
    found[_fault(line)] = line
    names = (create(random.Random(0)).name for create in FAULTS.values())
    rows = [found[name] for name in names if name in found]
    right = sum("**" not in row for row in rows)
    summary = f"{right} of {len(rows)} rows are as expected; deviations are bold."
    return f"{machine}.\n\n{COLUMNS}\n" + "\n".join(rows) + f"\n\n{summary}"


def _fault(line: str) -> str:
    return line.removeprefix("| ").split(" | ")[0]


def _line(verdict: Verdict, seed: int) -> str:
    fault = verdict.fault
    drawn = ", ".join(f"{name} {value:.3g}" for name, value in fault.drawn.items())
    first = f"`{verdict.first}`" if verdict.found else HEALTHY
    further = ", ".join(f"`{item.rule}`" for item in verdict.found[1:])
    alerts = ", ".join(name.removeprefix("FastAPI") for name in verdict.alerts) or "none"
    page = f"[{fault.page}](runbooks/{fault.page}.md)"
    cells = (
        fault.name,
        f"{drawn} (seed {seed})".strip(),
        first if verdict.is_first else f"**{first}**, not `{fault.expected}`",
        further,
        alerts if verdict.alerts_match else f"**{alerts}**, not {fault.alert or 'any'}",
        "" if not fault.page else f"{page}" if verdict.runbook_matches else f"**not** {page}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
