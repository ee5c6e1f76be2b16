"""A guessed value and its source."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Guess(Generic[T]):
    """A value, and the source from which it was guessed."""

    value: T
    source: str
