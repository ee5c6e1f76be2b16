"""Sequential tests: evidence that may be looked at after every few requests.

Each test is a product of bets, one for every look, against a null hypothesis. While the hypothesis
is true, no bet gains on average, so that the product exceeds 1/a at *any* look with a probability
of at most a (Ville's inequality). There is no number of looks to plan, and no look costs anything.
docs/decisions/0016-canary-judge.md explains the choice, with its sources.

Evidence is kept as a logarithm: 0 is none, ``log(1 / a)`` rejects with an error of at most a.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

# How many times the ratio under the hypothesis an alternative is. Their mean is a test that needs
# no expected effect: from "a third more" to "all events are of the new version".
ALTERNATIVES = (1.35, 2.0, 4.0, 10.0, 40.0)
_GAINS = tuple(math.log(times) for times in ALTERNATIVES)
# A failing client repeats its request, and one slow moment meets several requests of a client.
# Events of one version that come in groups of up to this size do not invalidate the evidence. With
# these alternatives, four events are never enough to reject at 1/800.
GROUP = 2.0

NO_EVIDENCE = 0.0


# The cost of an event of a look, for each alternative; empty if it cannot be compared.
Costs = tuple[float, ...]


def costs(*, requests: float, stable_requests: float, margin: float) -> Costs:
    """Returns the cost of each event of a look.

    Args:
        requests: Requests of the canary in this look, or another exposure such as seconds.
        stable_requests: Requests of the stable version.
        margin: The tolerated ratio of the shares; the same in each look.
    """
    # If one version had no requests, the events of the other have nothing to be compared with.
    if requests <= 0 or stable_requests <= 0:
        return ()
    tolerated = stable_requests + margin * requests
    return tuple(
        math.log((stable_requests + margin * times * requests) / tolerated)
        for times in ALTERNATIVES
    )


@dataclass(frozen=True)
class Comparison:
    """A test of whether events are more frequent in the canary than in the stable version.

    The hypothesis: the canary's share of events is at most ``margin`` times the stable one's. Then
    each event of a look is one of the canary with a probability that follows from the requests of
    both versions in that look alone, whatever the rate of events is and however it changes.

    Attributes:
        events: The events of the canary.
        penalties: For each alternative, the costs of the events of both versions.
    """

    events: int = 0
    penalties: tuple[float, ...] = (0.0,) * len(ALTERNATIVES)

    def add(self, *, events: int, stable_events: int, costs: Costs) -> "Comparison":
        """Adds the events since the last look.

        Args:
            events: Events of the canary.
            stable_events: Events of the stable version.
            costs: The costs of an event in this look.
        """
        total = events + stable_events
        if not total or not costs:
            return self
        penalties = (own + total * cost for own, cost in zip(self.penalties, costs, strict=True))
        return Comparison(self.events + events, tuple(penalties))

    @property
    def evidence(self) -> float:
        """The logarithm of the evidence that the canary has more events."""
        return self._evidence(GROUP)

    @property
    def evidence_of_single_events(self) -> float:
        """The same for events that do not come in groups."""
        return self._evidence(1.0)

    def _evidence(self, group: float) -> float:
        return log_mean_exp(
            (self.events * gain - penalty) / group
            for gain, penalty in zip(_GAINS, self.penalties, strict=True)
        )

    def dump(self) -> list[float]:
        """Returns the test in a form for JSON."""
        return [self.events, *(round(penalty, 4) for penalty in self.penalties)]

    @classmethod
    def parse(cls, numbers: Sequence[float]) -> Self:
        """Parses a dump.

        Raises:
            ValueError: It has other alternatives.
        """
        events, *penalties = numbers
        if len(penalties) != len(ALTERNATIVES):
            raise ValueError(f"not {len(ALTERNATIVES)} alternatives")
        return cls(int(events), tuple(float(penalty) for penalty in penalties))


def above(bound: float, *, events: int, requests: int) -> float:
    """Returns the evidence that the true share of events is above a bound.

    Args:
        bound: The share that is allowed.
        events: All events until now.
        requests: All requests until now.
    """
    # Nearly all requests may be events: no share is above such a bound.
    if not requests or bound > 0.999:
        return NO_EVIDENCE
    # A share of exactly 0 would be rejected by a single event.
    least = max(bound, 1e-4)
    shares = [min(least * times, (1 + least) / 2) for times in ALTERNATIVES]
    return log_mean_exp(
        (
            events * math.log(share / least)
            + (requests - events) * math.log((1 - share) / (1 - least))
        )
        / GROUP
        for share in shares
    )


# The stakes of a bet on a sign. Their mean needs no expected effect either.
STAKES = (0.25, 0.5, 0.9)


def mostly(wins: int, losses: int) -> float:
    """Returns the evidence that a comparison is won in more than half of all windows."""
    return log_mean_exp(wins * math.log1p(stake) + losses * math.log1p(-stake) for stake in STAKES)


def log_mean_exp(logarithms: Iterable[float]) -> float:
    """Returns the logarithm of the mean of values that are given by their logarithms."""
    values = [*logarithms]
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values) / len(values))


def error_bound(evidence: float) -> float:
    """Returns the probability of such evidence, at any look, if the hypothesis is true."""
    return math.exp(-max(0.0, evidence))
