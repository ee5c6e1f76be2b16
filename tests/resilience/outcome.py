"""The cost of one change for its clients."""

import datetime
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.resilience.client import BROKEN, REFUSED, TIMEOUT
from tests.resilience.figures import Figures
from tests.resilience.load import Answer
from tests.resilience.traffic import CACHED

# The time that is permitted until all requests succeed after the database is back.
RECOVERY_SECONDS = 10
_SHOWN = 12


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

    def figures(self) -> Figures:
        """Returns its figures, as they are recorded."""
        return Figures(
            requests=len(self.answers),
            refused=self.of(REFUSED),
            broken=self.of(BROKEN),
            timed_out=self.of(TIMEOUT),
            server_errors=self.of("5"),
            excused=len(self.excused),
            lost=len(self.lost),
            wrong_writes=self.twice + self.unaccounted,
            p99_milliseconds=round(self.p99_milliseconds()),
            seconds=round(self.ended - self.began),
            backends=self.backends,
        )

    def report(self) -> str:
        """Returns the row and the first lost requests, each with its time and response."""
        lines = [f"{self.name}: {self.figures()}"]
        lines += [f"  BROKEN {violation}" for violation in self.broken]
        for answer in self.lost[:_SHOWN]:
            lines.append(
                f"  {answer.at - self.began:+.2f} s, after {answer.seconds:.2f} s: "
                f"{answer.request.method} {answer.request.path} ({answer.connection}) "
                f"{answer.ending.outcome} {answer.ending.detail}"
            )
        return "\n".join(lines)

    def losses(self) -> list[dict[str, Any]]:
        """Returns all that is known to the client about each lost request."""
        wall = time.time() - time.monotonic()
        return [
            {
                "change": self.name,
                "due": _iso(wall + answer.at),
                "ended": _iso(wall + answer.at + answer.seconds),
                "seconds after the change began": round(answer.at - self.began, 3),
                "seconds after the change ended": round(answer.at - self.ended, 3),
                "took seconds": round(answer.seconds, 3),
                "kind": answer.request.kind,
                "request": f"{answer.request.method} {answer.request.path}",
                "reference": answer.reference,
                "connection": answer.connection,
                "outcome": answer.ending.outcome,
                "detail": answer.ending.detail,
            }
            for answer in self.lost
        ]

    def _excused(self, answer: Answer) -> bool:
        return (
            self.database_gone
            and answer.request.kind != CACHED
            and answer.ending.outcome == "503"
            and bool(answer.ending.retry_after)
            and self.began <= answer.at <= self.ended + RECOVERY_SECONDS
        )


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
