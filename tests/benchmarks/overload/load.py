"""An open loop of requests by vegeta: arrivals do not wait for responses."""

import csv
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.judges import programs

# A client gives up after so long; a later response is worth nothing.
CLIENT_TIMEOUT_SECONDS = 2.0
# A request that is sent later than this was not sent on time: the generator was short of CPU.
_ON_TIME_SECONDS = 0.05
_WORKERS = 20_000
_CONNECTIONS = 2000
# Columns of vegeta's CSV.
_TIMESTAMP, _CODE, _LATENCY, _SEQUENCE = 0, 1, 2, 8
_NANOSECONDS = 1e9


@dataclass(frozen=True)
class Answer:
    """One request.

    Attributes:
        due: Seconds from the begin of the load to when it was due.
        lag: Seconds by which it was sent late.
        status: The status; 0 if there was no response in time.
        seconds: From sending it to the end of its response.
    """

    due: float
    lag: float
    status: int
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether it was served while its client waited."""
        return self.status == 200 and self.seconds <= CLIENT_TIMEOUT_SECONDS


@dataclass(frozen=True)
class Seen:
    """The figures of one run.

    Attributes:
        offered: Requests per second.
        seconds: For so long they were sent; responses are awaited afterwards.
        requests: Their number.
        good: Those that were served while their clients waited.
        statuses: Their number by status; 0 if there was no response in time.
        p99_milliseconds: The p99 of the responses for which clients waited, by status.
        on_time_percent: The share that was sent on time.
        normal_after_seconds: When the last request was due that was not served.
    """

    offered: float
    seconds: float
    requests: int = 0
    good: int = 0
    statuses: Mapping[int, int] = field(default_factory=dict)
    p99_milliseconds: Mapping[int, float] = field(default_factory=dict)
    on_time_percent: float = 100.0
    normal_after_seconds: float = 0.0

    @classmethod
    def of(cls, offered: float, seconds: float, answers: Sequence[Answer]) -> Self:
        """Returns the figures of all requests of a run, in order."""
        in_time: dict[int, list[float]] = {}
        for answer in answers:
            if answer.seconds <= CLIENT_TIMEOUT_SECONDS:
                in_time.setdefault(answer.status, []).append(answer.seconds)
        late = sum(answer.lag > _ON_TIME_SECONDS for answer in answers)
        return cls(
            offered=offered,
            seconds=seconds,
            requests=len(answers),
            good=sum(answer.is_good for answer in answers),
            statuses=dict(Counter(answer.status for answer in answers)),
            p99_milliseconds={code: 1000 * quantile(of, 0.99) for code, of in in_time.items()},
            on_time_percent=100 * (1 - late / max(1, len(answers))),
            normal_after_seconds=max(
                (answer.due for answer in answers if not answer.is_good), default=0.0
            ),
        )

    @property
    def goodput(self) -> float:
        """Good responses per second of the load, those while it drains included."""
        return self.good / self.seconds

    def count(self, *statuses: int) -> int:
        """Returns the number of requests with one of these statuses."""
        return sum(self.statuses.get(status, 0) for status in statuses)

    def p99(self, status: int = 200) -> float:
        """The p99 of the responses with a status, in milliseconds; 0 without any."""
        return self.p99_milliseconds.get(status, 0.0)


def run(url: str, *, rate: float, seconds: float, core: int | None = None) -> Seen:
    """Sends requests at a constant rate.

    Args:
        url: The URL of all requests.
        rate: Requests per second.
        seconds: For so long they are sent.
        core: The core on which the generator runs; None is any.
    """
    options = ("-rate", f"{round(rate * 1000)}/1000s", "-duration", f"{seconds}s")
    answers = list(_attack(url, options, core))
    began = min((answer.due for answer in answers), default=0.0)
    paced = [
        Answer(
            due=number / rate,
            lag=max(0.0, answer.due - began - number / rate),
            status=answer.status,
            seconds=answer.seconds,
        )
        for number, answer in enumerate(answers)
    ]
    return Seen.of(rate, seconds, paced)


def crowd(url: str, *, clients: int, seconds: float, core: int | None = None) -> Seen:
    """Clients that all send at once, and again when they have a response."""
    options = ("-rate", "0", "-max-workers", f"{clients}", "-duration", f"{seconds}s")
    answers = list(_attack(url, options, core))
    return Seen.of(len(answers) / seconds, seconds, answers)


def quantile(values: Sequence[float], share: float) -> float:
    """Returns a quantile; 0 of no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _attack(url: str, options: Sequence[str], core: int | None) -> Iterator[Answer]:
    vegeta = str(programs.program("vegeta", of="vegeta"))
    pinned = () if core is None else ("taskset", "--cpu-list", f"{core}")
    fixed = ("-timeout", f"{CLIENT_TIMEOUT_SECONDS}s", "-connections", f"{_CONNECTIONS}")
    fixed += ("-max-body", "0", "-redirects", "-1")
    if "-max-workers" not in options:
        fixed += ("-max-workers", f"{_WORKERS}")
    with tempfile.TemporaryDirectory(prefix="overload-") as folder:
        results = Path(folder) / "results"
        command = [*pinned, vegeta, "attack", *options, *fixed, "-output", str(results)]
        subprocess.run(command, input=f"GET {url}\n", check=True, text=True)
        encoded = subprocess.run(
            [vegeta, "encode", "-to", "csv", str(results)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    rows = sorted(csv.reader(encoded.splitlines()), key=lambda row: int(row[_SEQUENCE]))
    for row in rows:
        latency = int(row[_LATENCY]) / _NANOSECONDS
        yield Answer(int(row[_TIMESTAMP]) / _NANOSECONDS, 0.0, int(row[_CODE]), latency)
