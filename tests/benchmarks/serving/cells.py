"""The measurements of one workload under one limit."""

from dataclasses import dataclass, field

from tests.benchmarks.serving.load import Seen


@dataclass(frozen=True)
class Run:
    """One run, from both sides."""

    seen: Seen
    throttled_percent: float
    memory_bytes: int
    ready_seconds: float


@dataclass
class Cell:
    """One workload under one limit.

    Attributes:
        workload: Its name.
        limit: The CPU limit.
        screened: Each variant's run.
        winner: The grid point with the most throughput.
        rounds: Runs by variant, round by round; ``again`` is a second tuned pod.
    """

    workload: str
    limit: str
    screened: dict[str, Run] = field(default_factory=dict)
    winner: str = ""
    rounds: dict[str, list[Seen]] = field(default_factory=dict)
