"""The time without the jumps of the system's clock."""

import time

_FIRST = time.time() - time.monotonic()


def now() -> float:
    """Returns seconds since 1970: the first time of this process, and what has passed since.

    So a wait is as long as it should be, although the clock is set meanwhile.
    """
    return _FIRST + time.monotonic()
