"""A rollout as its clients saw it, and the table of all of them."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks import document
from tests.resilience.load import Answer

FIVE_MINUTES = 300
HEADINGS = (
    "rollout",
    "requests/s",
    "requests",
    "served by the canary",
    "failed by it",
    "s from its first failure to its last request",
    "its share of five minutes' requests",
    "lost",
    "writes twice or missing",
    "s until its objects were gone",
    "most database connections",
    "their budget",
)


@dataclass(frozen=True)
class State:
    """A state of a canary.

    Attributes:
        at: When it was first seen, on the monotonic clock.
        phase: Its phase; ``none`` without a canary.
        percent: The share of its requests, as the status has it.
        figures: The counts of both versions, and the verdict.
    """

    at: float
    phase: str
    percent: int
    figures: str

    @classmethod
    def of(cls, status: Mapping[str, Any], at: float) -> "State":
        """Returns the state in ``status.canary``."""
        figures = json.dumps([status.get(one) for one in ("canary", "stable", "verdict")])
        return cls(at, status.get("phase", "none"), status.get("percent", 0), figures)

    def line(self, began: float) -> str:
        """Returns a line with the seconds since the beginning."""
        return f"  {self.at - began:6.1f} s  {self.phase} {self.percent} %  {self.figures}"


@dataclass(frozen=True)
class Seen:
    """A rollout as its clients saw it.

    Attributes:
        name: Its name.
        rate: Requests per second.
        answers: All requests, in the order in which they were due.
        began: When the new spec was applied, on the monotonic clock.
        ended: When the rollout had ended.
        wrong: Writes that are stored twice, or confirmed and not stored.
        late: The longest time by which a request was sent late.
        states: Its states, in order.
        connections: The most connections of the app's users to the database at once; 0 without a
            database.
        budget: The most that the connection budget permits.
        named: What only the names of the canary's pods contain.
    """

    name: str
    rate: float
    answers: Sequence[Answer]
    began: float
    ended: float
    wrong: int
    late: float
    states: Sequence[State]
    connections: int
    budget: int
    named: str = "-canary-"

    @property
    def of_canary(self) -> list[Answer]:
        """Returns the requests that a pod of the canary served."""
        return [one for one in self.answers if self.named in one.ending.served_by]

    @property
    def lost(self) -> list[Answer]:
        """Returns the failed requests, without those that the canary itself failed."""
        served = set(map(id, self.of_canary))
        return [one for one in self.answers if not one.answered and id(one) not in served]

    @property
    def stopped_seconds(self) -> float:
        """The time from the canary's first failure to its last request."""
        failed = [one.at for one in self.of_canary if not one.answered]
        return max(one.at for one in self.of_canary) - min(failed)

    @property
    def failed(self) -> int:
        """Returns the number of requests that the canary failed."""
        return sum(not one.answered for one in self.of_canary)

    def row(self) -> list[str]:
        """Returns its figures, in the order of the headings."""
        return [
            self.name,
            f"{self.rate:g}",
            f"{len(self.answers)}",
            f"{len(self.of_canary)}",
            f"{self.failed}",
            f"{self.stopped_seconds:.1f}" if self.failed else "",
            f"{100 * len(self.of_canary) / (self.rate * FIVE_MINUTES):.2f} %",
            f"{len(self.lost)}",
            f"{self.wrong}",
            f"{self.ended - self.began:.0f}",
            f"{self.connections}",
            f"{self.budget}",
        ]

    def report(self) -> str:
        """Returns the row, the states and the first lost requests."""
        lines = [
            f"| {' | '.join(self.row())} |",
            f"  the load was at most {self.late:.2f} s late",
            *(state.line(self.began) for state in self.states),
        ]
        lines += [
            f"  lost {one.at - self.began:+.1f} s, {one.seconds:.2f} s: {one.request.method} "
            f"{one.request.path} ({one.connection}) {one.ending.outcome} {one.ending.detail} "
            f"by {one.ending.served_by or 'the proxy'}"
            for one in self.lost[:10]
        ]
        return "\n".join(lines)


def record(seen: Seen) -> None:
    """Prints a row; with ``RECORD=1`` also writes it into docs/benchmarks.md."""
    print(seen.report(), flush=True)
    keep("canary", HEADINGS, seen.row())


def keep(section: str, headings: Sequence[str], row: Sequence[str], *, named_by: int = 1) -> None:
    """With ``RECORD=1`` writes a row into a section of docs/benchmarks.md."""
    if os.environ.get("RECORD"):
        document.keep_rows(section, headings, [row], named_by=named_by)
