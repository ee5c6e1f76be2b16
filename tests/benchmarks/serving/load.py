"""The load: runs wrk against an address and returns its results."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "wrk"
# Half of the smallest in-flight limit: no request is shed below it.
CONNECTIONS = 16
# wrk prints latency for people; this script prints it as data.
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
    """The results of one run."""

    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    errors: int


def run(url: str, *, seconds: float) -> Seen:
    """A closed loop of connections, after a second of warming up."""
    _wrk(url, 1)
    results = _wrk(url, round(seconds))
    answered = results["requests"] - results["errors"]
    return Seen(
        requests_per_second=answered / (results["microseconds"] / 1e6),
        p50_milliseconds=results["p50"] / 1000,
        p99_milliseconds=results["p99"] / 1000,
        errors=results["errors"],
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
    results: dict[str, int] = json.loads(printed[printed.index('{"requests"') :])
    return results
