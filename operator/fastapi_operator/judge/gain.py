"""Whether a canary is better than the stable version: the judge's tests with exchanged versions.

Only for trials of numbers, which must show a gain if they cost more. The shares stay equal within a
step, so its sums are one bet at the same odds in each look, and may be looked at after each.
"""

import math
from collections.abc import Iterable

from fastapi_operator.judge import sequential
from fastapi_operator.judge.ledger import ERROR_MARGIN, PAIRS, SLOW_MARGIN, Ledger, Pair
from fastapi_operator.judge.verdict import describe_errors, describe_slow

# How often numbers without a gain would be accepted.
ERROR_OF_GAIN = 0.01


def gain_of(ledger: Ledger, pairs: Iterable[Pair] = PAIRS) -> str:
    """Returns the gain of the canary in its present step, with figures; empty without one.

    Args:
        ledger: The counts of all looks.
        pairs: The bounds whose slow requests are compared.
    """
    canary, stable = ledger.step.canary, ledger.step.stable
    faster = sequential.log_mean_exp(
        _evidence(
            stable.slower[own],
            canary.requests if other is None else canary.slower[other],
            ledger,
            SLOW_MARGIN,
        )
        for own, other in pairs
    )
    reliable = _evidence(stable.errors, canary.errors, ledger, ERROR_MARGIN)
    enough = -math.log(ERROR_OF_GAIN / 2)
    if faster >= enough:
        return f"faster: {describe_slow(canary, stable)}"
    if reliable >= enough:
        return f"fewer errors: {describe_errors(canary, stable)}"
    return ""


def _evidence(stable_events: int, canary_events: int, ledger: Ledger, margin: float) -> float:
    """Returns the evidence that events are more frequent in the stable version."""
    costs = sequential.costs(
        requests=ledger.step.stable.requests,
        stable_requests=ledger.step.canary.requests,
        margin=margin,
    )
    comparison = sequential.Comparison()
    return comparison.add(events=stable_events, stable_events=canary_events, costs=costs).evidence
