"""Counts of one version's requests: all, those that failed, those slower than each bound."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

# The buckets of a version's durations, in seconds, ten for a factor of ten: a quantile that doubles
# passes three of them.
BOUNDS_SECONDS = (
    0.004, 0.005, 0.0063, 0.008,
    0.01, 0.0125, 0.016, 0.02, 0.025, 0.032, 0.04, 0.05, 0.063, 0.08,
    0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.63, 0.8,
    1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0,
)  # fmt: skip
_NONE_SLOWER = (0,) * len(BOUNDS_SECONDS)


class Version(StrEnum):
    """The version to which a request was assigned, as in the label of the proxy's metrics."""

    STABLE = "stable"
    CANARY = "canary"


@dataclass(frozen=True)
class Counts:
    """The requests that were assigned to one version.

    Attributes:
        requests: All of them.
        errors: Those with a status of 500 or above.
        fallbacks: Those that the other version served, because this one had no pod for them.
        slower: Those that took longer than each of ``BOUNDS_SECONDS``.
        refused: Those with a status from 400 to 499.
    """

    requests: int = 0
    errors: int = 0
    fallbacks: int = 0
    slower: tuple[int, ...] = _NONE_SLOWER
    refused: int = 0

    @property
    def refused_share(self) -> float:
        """The share of refused requests; 0 without requests."""
        return self.refused / self.requests if self.requests else 0.0

    @property
    def error_share(self) -> float:
        """The share of errors; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    def quantile(self, share: float) -> float | None:
        """A quantile of the durations in seconds, interpolated within its bucket.

        Beyond the last bound it is the last bound; without requests it is None.
        """
        if not self.requests:
            return None
        rank = (1 - share) * self.requests
        below, above = 0.0, self.requests
        for bound, slower in zip(BOUNDS_SECONDS, self.slower, strict=True):
            if slower <= rank and slower < above:
                return below + (bound - below) * (above - rank) / (above - slower)
            below, above = bound, slower
        return BOUNDS_SECONDS[-1]

    def since(self, before: "Counts") -> "Counts":
        """Returns the increment since an earlier reading of the same counters.

        Fewer requests are those of a process that started again at zero. Another number may
        decrease if a page was written while a request was counted.
        """
        if self.requests < before.requests:
            return self
        return Counts(
            self.requests - before.requests,
            max(0, self.errors - before.errors),
            max(0, self.fallbacks - before.fallbacks),
            tuple(max(0, now - then) for now, then in zip(self.slower, before.slower, strict=True)),
            max(0, self.refused - before.refused),
        )

    def __add__(self, other: "Counts") -> "Counts":
        """Adds the counts of another pod or time."""
        return Counts(
            self.requests + other.requests,
            self.errors + other.errors,
            self.fallbacks + other.fallbacks,
            tuple(mine + theirs for mine, theirs in zip(self.slower, other.slower, strict=True)),
            self.refused + other.refused,
        )

    def dump(self) -> list[int]:
        """Returns the counts as a short list: requests by bucket, without the zeros at the end."""
        slower = (self.requests, *self.slower)
        within = (before - after for before, after in itertools.pairwise(slower))
        numbers = [self.requests, self.errors, self.fallbacks, self.refused, *within]
        while numbers and not numbers[-1]:
            numbers.pop()
        return numbers

    @classmethod
    def parse(cls, numbers: Sequence[int]) -> Self:
        """Parses a list of ``dump``.

        Raises:
            ValueError: It has other buckets.
        """
        numbers = [int(number) for number in numbers]
        if len(numbers) > 4 + len(BOUNDS_SECONDS):
            raise ValueError(f"more than {len(BOUNDS_SECONDS)} buckets")
        requests, errors, fallbacks, refused, *within = [
            *numbers,
            *[0] * (4 + len(BOUNDS_SECONDS) - len(numbers)),
        ]
        slower = itertools.accumulate(
            within, lambda above, inside: above - inside, initial=requests
        )
        return cls(requests, errors, fallbacks, tuple(slower)[1:], refused)


@dataclass(frozen=True)
class Versions:
    """The counts of both versions in the same time."""

    stable: Counts = field(default_factory=Counts)
    canary: Counts = field(default_factory=Counts)

    @property
    def both(self) -> bool:
        """Whether both versions had requests."""
        return self.stable.requests > 0 and self.canary.requests > 0

    def since(self, before: "Versions") -> "Versions":
        """Returns the increment since an earlier reading of the same counters."""
        return Versions(self.stable.since(before.stable), self.canary.since(before.canary))

    def __add__(self, other: "Versions") -> "Versions":
        """Adds the counts of another pod or time."""
        return Versions(self.stable + other.stable, self.canary + other.canary)

    def dump(self) -> dict[str, list[int]]:
        """Returns the counts in a form for JSON."""
        return {Version.STABLE: self.stable.dump(), Version.CANARY: self.canary.dump()}

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Parses a dump."""
        return cls(Counts.parse(data[Version.STABLE]), Counts.parse(data[Version.CANARY]))
