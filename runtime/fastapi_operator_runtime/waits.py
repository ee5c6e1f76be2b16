"""How long requests wait for the process itself: its event loop, and connections of its pools.

The parts that know report each wait. If even the shortest wait of a while is long, requests queue;
a long one alone can be a burst.
"""

from __future__ import annotations

_shortest: dict[str, float] = {}


def report(source: str, seconds: float) -> None:
    """Reports that a request, or a task in its place, has waited."""
    known = _shortest.get(source)
    if known is None or seconds < known:
        _shortest[source] = seconds


def collect() -> float:
    """Returns the longest of the shortest waits since the last call; 0 if there were none."""
    longest = max(_shortest.values(), default=0.0)
    _shortest.clear()
    return longest
