"""Progress for a person while the node starts: one line per step, with the seconds so far."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

_began = time.monotonic()
_printing = threading.Lock()


def say(message: str) -> None:
    """Print one line on standard error, after the seconds since the command began."""
    with _printing:
        print(f"{time.monotonic() - _began:7.1f}s  {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Report a step when it begins, and its duration when it ends."""
    say(f"{title} ...")
    began = time.monotonic()
    yield
    say(f"{title}: done in {time.monotonic() - began:.1f} s")
