"""Simulates canaries from recorded traffic, and counts the verdicts of the judge.

    python -m tests.benchmarks.canary [--write]

Each rollout has steps of 5, 25 and 50 percent, and the judge looks every five seconds. It takes
a quarter of an hour of one core; --share 0.01 is a short form.
"""

import argparse
import collections
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi_operator.judge.verdict import Action, Limits
from tests.benchmarks import document
from tests.benchmarks.canary.rollout import LIMITS, End, Rollout
from tests.benchmarks.canary.traffic import Behaviour

SECTION = "judge"
SAME = "as the old one"
RECORDED = Behaviour()
_MIB = 2**20
BOUNDED = Limits(LIMITS.min_requests, max_error_share=0.01, max_p95_seconds=0.3)


@dataclass(frozen=True)
class Case:
    """A kind of new version.

    Attributes:
        name: Its row in the table.
        number: The simulated rollouts.
        canary: How it behaves; the old version as recorded, with 0.1 % of errors.
        rate: Requests per second.
        limits: The bounds of the judge.
        outage: Whether a server that both versions need fails for a minute.
    """

    name: str
    number: int
    canary: Behaviour = RECORDED
    rate: float = 200.0
    limits: Limits = LIMITS
    outage: bool = False

    @property
    def is_good(self) -> bool:
        """Whether the new version is as the old one."""
        return self.name.startswith(SAME)

    def run(self, number: int) -> list[End]:
        """Simulates so many rollouts."""
        return [
            Rollout(
                seed,
                canary=self.canary,
                stable=RECORDED,
                rate=self.rate,
                limits=self.limits,
                outage=self.outage,
            ).run()
            for seed in range(number)
        ]


CASES = (
    Case(SAME, 10_000),
    Case(f"{SAME}, 20 requests/s", 500, rate=20.0),
    Case(f"{SAME}, all of its nodes 10 % slower", 500, Behaviour(speed_index=1)),
    Case(f"{SAME}, bounds of 1 % and 300 ms", 500, limits=BOUNDED),
    Case(f"{SAME}, an outage of the database", 500, outage=True),
    Case(f"{SAME}, these bounds, an outage of the database", 500, limits=BOUNDED, outage=True),
    Case("2 % errors instead of 0.1 %", 500, Behaviour(error_share=0.02)),
    Case("2 % errors instead of 0.1 %, 20 requests/s", 500, Behaviour(error_share=0.02), 20.0),
    Case("20 % errors", 500, Behaviour(error_share=0.2)),
    Case("p99 twice as long", 500, Behaviour(tail_factor=2.0)),
    Case("CPU per request + 50 %", 500, Behaviour(cpu_factor=1.5)),
    Case("a leak of 0.25 MiB/s", 500, Behaviour(leak_bytes_per_second=_MIB / 4)),
    Case("a leak of 1 MiB/s", 500, Behaviour(leak_bytes_per_second=_MIB)),
)


def row(case: Case, ends: Sequence[End]) -> str:
    """Returns the row of a case."""
    of = collections.Counter(end.action for end in ends)
    seconds = [end.seconds for end in ends]
    shares = [100 * end.canary_share for end in ends]
    longest = statistics.quantiles(seconds, n=20)[-1]
    cells = (
        case.name,
        str(len(ends)),
        f"{of[Action.ABORT]} ({100 * of[Action.ABORT] / len(ends):.2f} %)",
        str(of[Action.WAIT]),
        f"{statistics.median(seconds):.0f} (p95 {longest:.0f})",
        f"{statistics.median(shares):.1f} %",
    )
    return f"| {' | '.join(cells)} |"


def text(rows: Sequence[str]) -> str:
    """Returns the section."""
    head = (
        "| new version | simulated | aborted | never decided | seconds until the end: median "
        "| its share of requests until then |"
    )
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *rows])


def main() -> None:
    """Runs all cases and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.canary", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    parser.add_argument("--share", type=float, default=1.0, help="of the rollouts of each case")
    arguments = parser.parse_args()
    rows = []
    for case in CASES:
        rows.append(row(case, case.run(max(10, round(arguments.share * case.number)))))
        print(rows[-1], flush=True)
    if arguments.write:
        document.write(SECTION, text(rows))


if __name__ == "__main__":
    main()
