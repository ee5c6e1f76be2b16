"""python -m tests.faults [--services N] [--seed N ...] [--only WORD ...] [--write]

Every fault hits a fleet of services in random stages, once for each seed; each round has an API
server of its own. Afterwards everything must be as after an undisturbed run of the same seed.
With --write each round is written into docs/benchmarks.md as it ends, so that rounds can be run one
by one.
"""

import argparse
import sys

from tests.benchmarks import document
from tests.faults.extended import EXTENDED
from tests.faults.faults import FAULTS
from tests.faults.rounds import Outcome, disturbed, undisturbed

ALL = (*FAULTS, *EXTENDED)
HEADINGS = (
    "fault",
    "seed",
    "guarantees",
    "services, objects",
    "requests, relative to undisturbed",
    "settled after",
    "round",
    "details",
)


def main() -> int:
    """Runs the rounds; the exit code is 0 if every guarantee held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=50, help="in each round")
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2], help="a round each")
    parser.add_argument(
        "--only", metavar="WORD", nargs="+", default=[""], help="faults with one of these words"
    )
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    chosen = [fault for fault in ALL if any(word in fault.name for word in options.only)]
    if not chosen:
        parser.error(f"no fault has {' or '.join(options.only)} in its name")
    broken = False
    for seed in options.seed:
        calm = undisturbed(seed, options.services)
        print(summary(calm), flush=True)
        if calm.broken:
            return 1
        for fault in chosen:
            outcome = disturbed((fault,), calm, options.services)
            print(summary(outcome), flush=True)
            if options.write:
                rows = [row(outcome, options.services)]
                document.keep_rows("operator-faults", HEADINGS, rows, named_by=2)
            broken = broken or bool(outcome.broken)
    return 1 if broken else 0


def summary(outcome: Outcome) -> str:
    """Returns a round in one line, and broken guarantees in lines of their own."""
    lines = [
        f"seed {outcome.seed}: {outcome.fault.name}: {len(outcome.objects)} objects, "
        f"{outcome.requests} requests, {outcome.seconds:.0f} s, "
        f"settled in {outcome.settled_seconds:.0f} s; {outcome.met or 'done'}",
        *(f"  BROKEN {promise}" for promise in outcome.broken),
    ]
    return "\n".join(lines)


def row(outcome: Outcome, services: int) -> list[str]:
    """Returns the figures of a round, in the order of the headings."""
    return [
        outcome.fault.name,
        f"{outcome.seed}",
        "**broken**" if outcome.broken else "all held",
        f"{services}, {len(outcome.objects)}",
        f"{outcome.requests / max(1, outcome.against):.2f} (at most {outcome.fault.budget})",
        f"{outcome.settled_seconds:.0f} s",
        f"{outcome.seconds:.0f} s",
        outcome.met,
    ]


if __name__ == "__main__":
    sys.exit(main())
