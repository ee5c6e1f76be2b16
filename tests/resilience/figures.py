"""The figures of one run of a change, and their sum over several runs."""

from collections.abc import Sequence
from dataclasses import dataclass

HEADINGS = (
    "change",
    "runs",
    "requests",
    "refused",
    "broken",
    "timed out",
    "5xx",
    "503 during an outage of the database",
    "lost",
    "writes twice or missing",
    "p99 during the change, ms",
    "change, s",
    "peak of database connections",
    "load",
    "last run, UTC",
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One run.

    Attributes:
        requests: All requests.
        refused: Connections that were refused.
        broken: Connections that ended before the response did.
        timed_out: Requests without a response in time.
        server_errors: Responses with a 5xx status.
        excused: Those among them that the change permits.
        lost: Requests without the response that they should have had.
        wrong_writes: Writes that were stored twice, or confirmed and not stored.
        p99_milliseconds: Of the requests during the change.
        seconds: The duration of the change.
        backends: The peak of the app's connections to the database.
        load: The machine's load at the end.
        ended: The end, as an ISO time in UTC.
    """

    requests: int
    refused: int
    broken: int
    timed_out: int
    server_errors: int
    excused: int
    lost: int
    wrong_writes: int
    p99_milliseconds: int
    seconds: int
    backends: int
    load: float = 0
    ended: str = ""


def row(name: str, runs: Sequence[Figures]) -> list[str]:
    """Returns the row of a change: counts are summed, and of the others it has the highest."""
    counts = (
        sum(getattr(run, count) for run in runs)
        for count in (
            "requests",
            "refused",
            "broken",
            "timed_out",
            "server_errors",
            "excused",
            "lost",
            "wrong_writes",
        )
    )
    highest = (
        max(getattr(run, value) for run in runs)
        for value in ("p99_milliseconds", "seconds", "backends", "load", "ended")
    )
    return [name, f"{len(runs)}", *map(str, counts), *map(str, highest)]
