"""The time without the jumps of the system's clock."""

import time

_FIRST = time.time() - time.monotonic()


def now() -> float:
    """Returns seconds since 1970: the first time of this process, and what has passed since.

    So a wait is as long as it should be, although the clock is set meanwhile.
    """
    return _FIRST + time.monotonic()


def clocks() -> tuple[float, float]:
    """Returns the time by this clock and by the system's, in seconds since 1970.

    Times of the API server are compared with both: the system's clock may jump, and this one stays
    wrong if the system's was wrong when the process began.
    """
    return now(), time.time()
