"""The cost of one change for its clients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tests.resilience.client import BROKEN, REFUSED, TIMEOUT
from tests.resilience.load import Answer
from tests.resilience.traffic import CACHED

# The time that is permitted until all requests succeed after the database is back.
RECOVERY_SECONDS = 10
_SHOWN = 12


HEADINGS = (
    "change",
    "requests",
    "refused",
    "broken",
    "5xx",
    "503 during an outage of the database",
    "lost",
    "p99 during the change, ms",
    "change, s",
    "peak of database connections",
)


@dataclass(frozen=True)
class Outcome:
    """The result of one scenario, as its clients see it.

    Attributes:
        name: The scenario's name.
        answers: All requests in order, from shortly before the change.
        began: The start of the change, on the monotonic clock.
        ended: The end of the change.
        database_gone: Whether the database was unavailable meanwhile.
        twice: Writes that the database contains twice.
        unaccounted: Writes that were confirmed and not done, or done more often than sent.
        backends: The peak of the app's connections to the database.
    """

    name: str
    answers: Sequence[Answer]
    began: float
    ended: float
    database_gone: bool
    twice: int
    unaccounted: int
    backends: int

    @property
    def lost(self) -> list[Answer]:
        """Returns the requests that got no response although they should have."""
        return [answer for answer in self.answers if not (answer.answered or self._excused(answer))]

    @property
    def excused(self) -> list[Answer]:
        """Returns the requests that could not succeed, and got a 503."""
        return [answer for answer in self.answers if self._excused(answer)]

    @property
    def broken(self) -> list[str]:
        """Returns the promises that were broken."""
        found = []
        if self.lost:
            found.append(f"{len(self.lost)} requests lost")
        if self.twice:
            found.append(f"{self.twice} writes stored twice")
        if self.unaccounted:
            found.append(
                f"{self.unaccounted} writes confirmed but not stored, or stored but not sent"
            )
        return found

    def of(self, *outcomes: str) -> int:
        """Returns the number of requests with this result; ``5`` means every 5xx status."""
        return sum(answer.ending.outcome.startswith(outcomes) for answer in self.answers)

    def p99_milliseconds(self) -> float:
        """The p99 of the requests during the change, measured from the time they were due."""
        times = sorted(
            answer.seconds for answer in self.answers if self.began <= answer.at <= self.ended
        )
        return 1000 * times[math.ceil(0.99 * len(times)) - 1] if times else math.nan

    def row(self) -> list[str]:
        """Its row of the table."""
        return [
            self.name,
            f"{len(self.answers)}",
            f"{self.of(REFUSED)}",
            f"{self.of(BROKEN, TIMEOUT)}",
            f"{self.of('5')}",
            f"{len(self.excused)}",
            f"{len(self.lost)}",
            f"{self.p99_milliseconds():.0f}",
            f"{self.ended - self.began:.0f}",
            f"{self.backends}",
        ]

    def report(self) -> str:
        """Returns the row and the first lost requests, each with its time and response."""
        lines = [" | ".join(self.row())]
        lines += [f"  BROKEN {violation}" for violation in self.broken]
        for answer in self.lost[:_SHOWN]:
            lines.append(
                f"  {answer.at - self.began:+.2f} s, after {answer.seconds:.2f} s: "
                f"{answer.request.method} {answer.request.path} "
                f"{'(new connection)' if answer.new else ''} "
                f"{answer.ending.outcome} {answer.ending.detail}"
            )
        return "\n".join(lines)

    def _excused(self, answer: Answer) -> bool:
        return (
            self.database_gone
            and answer.request.kind != CACHED
            and answer.ending.outcome == "503"
            and self.began <= answer.at <= self.ended + RECOVERY_SECONDS
        )
