"""A linear scale from numbers to lengths, with round ticks."""

import math
from dataclasses import dataclass

# The steps between ticks, times a power of ten.
_STEPS = (1, 2, 2.5, 5, 10)
# Durations are read in minutes, hours and days.
_SECONDS_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)


@dataclass(frozen=True)
class Scale:
    """Maps the numbers from 0 to ``maximum`` to lengths from ``origin`` on.

    Attributes:
        maximum: The number that takes the whole length.
        length: The length.
        origin: The position of zero.
    """

    maximum: float
    length: float
    origin: float = 0.0

    def size(self, value: float) -> float:
        """Returns the length of a number."""
        return self.length * value / self.maximum if self.maximum else 0.0

    def at(self, value: float) -> float:
        """Returns the position of a number."""
        return self.origin + self.size(value)


def ticks(maximum: float, most: int = 6, *, seconds: bool = False) -> tuple[float, ...]:
    """Returns round numbers from 0 to at most ``maximum``, in equal steps.

    Args:
        maximum: The largest number of the scale.
        most: How many numbers there may be, zero included.
        seconds: Whether the numbers are seconds, whose round steps are parts of a minute.
    """
    if maximum <= 0:
        return (0.0,)
    exponent = 10.0 ** math.floor(math.log10(maximum / most))
    decades = [power * step * exponent for power in (1, 10) for step in _STEPS]
    steps = [*_SECONDS_STEPS, *decades] if seconds and maximum > most else decades
    step = next((step for step in steps if maximum / step <= most - 1), maximum)
    return tuple(round(index * step, 10) for index in range(int(maximum / step + 1e-9) + 1))


def ceiling(maximum: float) -> float:
    """Returns the next round number, at which a scale ends."""
    if maximum <= 0:
        return 1.0
    exponent = 10.0 ** math.floor(math.log10(maximum))
    return float(next(step * exponent for step in _STEPS if step * exponent >= maximum * 0.999999))
