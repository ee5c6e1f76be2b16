"""The load: wrk against one address, and what it saw."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "wrk"
# As many as the smallest in-flight limit lets through twice: below it nothing is shed.
CONNECTIONS = 16
# wrk tells latency as a picture for people; this tells it as data.
_REPORT = """
done = function(summary, latency, requests)
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"errors":%d,"p50":%d,"p99":%d}',
    summary.requests, summary.duration,
    summary.errors.connect + summary.errors.read + summary.errors.write +
      summary.errors.status + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Seen:
    """What clients saw in one run."""

    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    errors: int


def run(url: str, *, seconds: float) -> Seen:
    """A closed loop of connections, after a second of warming up."""
    _wrk(url, 1)
    told = _wrk(url, round(seconds))
    answered = told["requests"] - told["errors"]
    return Seen(
        requests_per_second=answered / (told["microseconds"] / 1e6),
        p50_milliseconds=told["p50"] / 1000,
        p99_milliseconds=told["p99"] / 1000,
        errors=told["errors"],
    )


def _wrk(url: str, seconds: int) -> dict[str, int]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_REPORT)
        script.flush()
        printed = subprocess.run(
            [
                *(PROGRAM, "--threads", "1", "--connections", str(CONNECTIONS)),
                *("--duration", f"{seconds}s", "--timeout", "20s", "--script", script.name, url),
            ],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(script.name).parent,
        ).stdout
    told: dict[str, int] = json.loads(printed[printed.index('{"requests"') :])
    return told
