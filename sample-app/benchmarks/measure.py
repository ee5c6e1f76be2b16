"""Interleaved measurement: ratios that survive a noisy machine."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Comparison:
    """The same result in two ways.

    Attributes:
        technique: The name of the first way.
        instead_of: The name of the second way.
        on: One run of the first way.
        off: One run of the second way.
        repeat: Runs that one timing adds up.
    """

    technique: str
    instead_of: str
    on: Work
    off: Work
    repeat: int = 1


@dataclass(frozen=True)
class Result:
    """The result of a comparison. A ratio above 1 means that the technique is faster."""

    comparison: Comparison
    on_milliseconds: float
    off_milliseconds: float
    ratios: list[float]

    @property
    def ratio(self) -> float:
        """The median of the ratios of neighbouring timings."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the ratios: half of the rounds lie between them."""
        low, _, high = statistics.quantiles(self.ratios, n=4)
        return low, high

    @property
    def pays(self) -> str:
        """Whether three quarters of the rounds agree."""
        low, high = self.spread
        return "yes" if low > 1.05 else "no" if high < 0.95 else "no difference"


async def compare(comparison: Comparison, rounds: int) -> Result:
    """Times both ways alternately, `rounds` times; the first one alternates too."""
    await comparison.on()
    await comparison.off()
    ons: list[float] = []
    offs: list[float] = []
    for number in range(rounds):
        ways = [(comparison.on, ons), (comparison.off, offs)]
        for work, times in ways if number % 2 else reversed(ways):
            times.append(await _time(work, comparison.repeat))
    return Result(
        comparison,
        statistics.median(ons) * 1000 / comparison.repeat,
        statistics.median(offs) * 1000 / comparison.repeat,
        [off / on for on, off in zip(ons, offs, strict=True)],
    )


async def _time(work: Work, repeat: int) -> float:
    gc.collect()
    started_at = time.perf_counter()
    for _ in range(repeat):
        await work()
    return time.perf_counter() - started_at


def table(results: list[Result]) -> str:
    """The results as Markdown."""
    lines = [
        "| technique | instead of | with | without | ratio (quartiles) | pays |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        low, high = result.spread
        lines.append(
            f"| {result.comparison.technique} | {result.comparison.instead_of} "
            f"| {result.on_milliseconds:.2f} ms | {result.off_milliseconds:.2f} ms "
            f"| {result.ratio:.1f} ({low:.1f} to {high:.1f}) | {result.pays} |"
        )
    return "\n".join(lines) + "\n"
