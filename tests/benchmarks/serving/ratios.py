"""Ratios of neighbouring runs, and how sure they are."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Two-sided 95 % of Student's t for 1 to 20 degrees of freedom, then as good as normal.
_T = (
    *(12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23),
    *(2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09, 2.09),
)


@dataclass(frozen=True)
class Ratio:
    """The geometric mean of pairs, with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"

    @property
    def half_width(self) -> float:
        """How far the interval reaches from the mean, as a share of it."""
        return max(self.high / self.mean, self.mean / self.low) - 1


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """The ratio of pairs that ran one after the other.

    Raises:
        ValueError: There are fewer than two pairs, or a value is not above zero.
    """
    logs = [math.log(a / b) for a, b in zip(numerators, denominators, strict=True)]
    mean = statistics.fmean(logs)
    degrees = len(logs) - 1
    t = _T[degrees - 1] if degrees <= len(_T) else 1.96
    margin = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), math.exp(mean - margin), math.exp(mean + margin))
