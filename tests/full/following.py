"""The course of something that changes while a test runs."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

State = TypeVar("State")


@contextlib.contextmanager
def followed(read: Callable[[], State], course: list[State], *, seconds: float) -> Iterator[None]:
    """Adds each new state to its course while the block runs.

    Args:
        read: Returns the present state.
        course: The states, one after another.
        seconds: Time between two looks.
    """
    over = threading.Event()

    def follow() -> None:
        while not over.wait(seconds):
            state = read()
            if course[-1:] != [state]:
                course.append(state)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
