"""A system's clock that is set while an operator runs, beside time that passes evenly."""

import itertools
import time
from types import SimpleNamespace

_JUMPS = itertools.cycle((0, 86_400, -3600))


def jumping(*, faster: float = 1.0) -> SimpleNamespace:
    """Returns a module ``time`` whose wall clock is a day ahead or an hour behind by turns.

    Args:
        faster: The seconds that pass in a second of the test.
    """
    begun = time.monotonic()
    first = time.time() - begun

    def monotonic() -> float:
        return begun + faster * (time.monotonic() - begun)

    return SimpleNamespace(time=lambda: first + monotonic() + next(_JUMPS), monotonic=monotonic)
