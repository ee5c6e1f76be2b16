"""The verdict on a canary: advance, wait or abort, with the evidence in short sentences."""

import bisect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from fastapi_operator.judge import sequential
from fastapi_operator.judge.counts import BOUNDS_SECONDS, Counts, Version
from fastapi_operator.judge.ledger import ERROR_MARGIN, Ledger

# The error of each of the eight tests over all looks. Their sum, 1 %, bounds how often a version
# that is not worse is aborted.
ERROR_OF_TEST = 0.00125
# A test that looks worse than this, and is not yet sure, keeps the canary at its step.
ERROR_OF_SUSPICION = 0.1
# Requests that were assigned to the canary, and that the stable version had to serve.
MAX_FALLBACK_SHARE = 0.1
P95, P99 = 0.95, 0.99
# Errors of the canary that are tolerated while the stable version has no requests: an outage of
# both versions would not be noticed then.
ERRORS_ALONE = 0.05
# If the canary refuses more of its requests, with a status of 4xx, and so many times the share of
# the stable version, its routes or its login may be broken. Single clients cause such statuses too,
# so it is not aborted for them.
REFUSED_SHARE = 0.5
REFUSED_MARGIN = 2.0
# The part of the least requests whose durations must have been compared with warm pods.
_TIMED_PART = 4
_CANARY_FIRST = (Version.CANARY, Version.STABLE)
_MIB = 2**20


class Action(StrEnum):
    """The permitted action."""

    ADVANCE = "Advance"
    WAIT = "Wait"
    ABORT = "Abort"
    HOLD = "Hold"


@dataclass(frozen=True)
class Limits:
    """The bounds of one canary.

    Attributes:
        min_requests: The least requests of the canary in a step.
        max_error_share: The largest share of errors; None compares with the stable version only.
        max_p95_seconds: The longest p95; None compares with the stable version only.
    """

    min_requests: int
    max_error_share: float | None = None
    max_p95_seconds: float | None = None


@dataclass(frozen=True)
class Verdict:
    """The result of a ledger.

    Attributes:
        action: The permitted action.
        evidence: Why, the cause first. Each is a sentence with its figures.
        error_bound: If it aborts, the most frequent that so much evidence is, at any look, with a
            version that is not worse.
        lacks_requests: Whether it waits for requests alone.
    """

    action: Action
    evidence: tuple[str, ...]
    error_bound: float = 1.0
    lacks_requests: bool = False


@dataclass(frozen=True)
class _Finding:
    """A test of the canary.

    Attributes:
        evidence: The logarithm of its evidence that the canary is worse.
        figures: Returns a sentence with the figures.
    """

    evidence: float
    figures: Callable[[], str]


def judge(ledger: Ledger, limits: Limits) -> Verdict:
    """Returns the verdict on a canary.

    Args:
        ledger: The counts of all looks.
        limits: Its bounds.
    """
    found = sorted(_findings(ledger, limits), key=lambda finding: -finding.evidence)
    worse = [item for item in found if item.evidence >= -math.log(ERROR_OF_TEST)]
    if worse:
        bound = sequential.error_bound(worse[0].evidence)
        return Verdict(Action.ABORT, tuple(item.figures() for item in worse), bound)
    lacking = [*_lacking(ledger, limits)]
    reasons = [*lacking, *_waits(ledger, limits)]
    suspicious = [item for item in found if item.evidence >= -math.log(ERROR_OF_SUSPICION)]
    reasons += [
        f"perhaps worse: {figures}"
        for figures in (item.figures() for item in suspicious)
        if figures not in reasons
    ]
    if reasons:
        return Verdict(Action.WAIT, tuple(reasons), lacks_requests=reasons == lacking)
    return Verdict(Action.ADVANCE, (_errors_of(ledger), _slow_of(ledger)))


def unreadable(reasons: tuple[str, ...]) -> Verdict:
    """Returns the verdict if no counts of the proxy can be read."""
    return Verdict(Action.HOLD, reasons)


def _findings(ledger: Ledger, limits: Limits) -> Iterator[_Finding]:
    canary, stable, timed, pods = (
        ledger.total.canary,
        ledger.total.stable,
        ledger.timed,
        ledger.pods,
    )
    yield _Finding(ledger.errors.evidence, lambda: _errors_of(ledger))
    alone = ledger.waiting.canary
    if alone.requests:
        tolerated = max(ERRORS_ALONE, ERROR_MARGIN * stable.error_share)
        evidence = sequential.above(tolerated, events=alone.errors, requests=alone.requests)
        yield _Finding(evidence, lambda: _errors_alone(ledger))
    slow = sequential.log_mean_exp(comparison.evidence for comparison in ledger.slow)
    yield _Finding(slow, lambda: _slow_of(ledger))
    most = limits.max_error_share
    # If the stable version exceeds a bound too, now or before, the cause is not in the canary.
    if most is not None and max(stable.error_share, ledger.step.stable.error_share) <= most:
        evidence = sequential.above(most, events=canary.errors, requests=canary.requests)
        yield _Finding(evidence, lambda: _errors_allowed(ledger, most))
    longest = limits.max_p95_seconds
    if longest is not None:
        index = _first_bound(longest)
        old = (timed.stable, ledger.step.stable)
        if max(_share_slower(counts, index) for counts in old) <= 1 - P95:
            evidence = sequential.above(
                1 - P95, events=timed.canary.slower[index], requests=timed.canary.requests
            )
            yield _Finding(evidence, lambda: _slow_allowed(ledger, longest))
    yield _Finding(pods.cpu.evidence, lambda: _cpu_of(ledger))
    yield _Finding(pods.leak_evidence, lambda: _leak_of(ledger))
    yield _Finding(pods.restart_evidence, lambda: _restarts_of(ledger))


def _lacking(ledger: Ledger, limits: Limits) -> Iterator[str]:
    """Yields which requests are missing for a verdict."""
    step, timed = ledger.step.canary, ledger.timed
    served = step.requests - step.fallbacks
    if served < limits.min_requests:
        yield f"{served} of {limits.min_requests} requests in step {ledger.number}"
    elif not ledger.total.stable.requests:
        yield (
            "the stable version had no requests to compare: if all clients have one address or "
            "header, set rollout.canary.stickiness.mode: Request"
        )
    elif timed.canary.requests < (least := limits.min_requests // _TIMED_PART):
        yield (
            f"the durations of {timed.canary.requests} of {least} requests are known: "
            "the pods warm up"
        )


def _waits(ledger: Ledger, limits: Limits) -> Iterator[str]:
    """Yields the reasons to stay at the step, apart from missing requests and suspicions."""
    step, timed = ledger.step.canary, ledger.timed
    if step.fallbacks > MAX_FALLBACK_SHARE * step.requests:
        yield (
            f"the stable version served {_of(step.fallbacks, step.requests)} of the canary, "
            "whose pods were not available"
        )
    refused = step.refused_share
    if refused > max(REFUSED_SHARE, REFUSED_MARGIN * ledger.total.stable.refused_share):
        yield _refused_of(ledger)
    most = limits.max_error_share
    if most is not None and step.error_share > most:
        yield _errors_allowed(ledger, most)
    longest = limits.max_p95_seconds
    if longest is not None and (timed.canary.quantile(P95) or 0.0) > longest:
        yield _slow_allowed(ledger, longest)


def _first_bound(seconds: float) -> int:
    """Returns the first bucket that surely exceeds a duration."""
    return min(bisect.bisect_left(BOUNDS_SECONDS, seconds), len(BOUNDS_SECONDS) - 1)


def _share_slower(counts: Counts, index: int) -> float:
    return counts.slower[index] / counts.requests if counts.requests else 0.0


def _errors_of(ledger: Ledger) -> str:
    return describe_errors(ledger.total.canary, ledger.total.stable)


def describe_errors(canary: Counts, stable: Counts) -> str:
    """Returns the shares of errors of both versions."""
    return (
        f"errors {_of(canary.errors, canary.requests)}, "
        f"stable {_of(stable.errors, stable.requests)}"
    )


def _errors_alone(ledger: Ledger) -> str:
    alone = ledger.waiting.canary
    return (
        f"errors {_of(alone.errors, alone.requests)}, while the stable version had none; "
        f"{_errors_of(ledger)}"
    )


def _slow_of(ledger: Ledger) -> str:
    return describe_slow(ledger.timed.canary, ledger.timed.stable)


def describe_slow(canary: Counts, stable: Counts) -> str:
    """Returns two quantiles of the durations of both versions."""
    return (
        f"p95 {_quantile(canary, P95)}, stable {_quantile(stable, P95)}; "
        f"p99 {_quantile(canary, P99)}, stable {_quantile(stable, P99)}"
    )


def _refused_of(ledger: Ledger) -> str:
    canary, stable = ledger.step.canary, ledger.total.stable
    return (
        f"responses of 4xx {_of(canary.refused, canary.requests)}, "
        f"stable {_of(stable.refused, stable.requests)}"
    )


def _errors_allowed(ledger: Ledger, share: float) -> str:
    return f"{_errors_of(ledger)}, allowed {_percent(share)}"


def _slow_allowed(ledger: Ledger, seconds: float) -> str:
    return f"{_slow_of(ledger)}; allowed p95 {_seconds(seconds)}"


def _cpu_of(ledger: Ledger) -> str:
    canary, stable = (ledger.pods.cpu_per_request(version) or 0.0 for version in _CANARY_FIRST)
    return f"CPU a request {1000 * canary:.2f} ms, stable {1000 * stable:.2f} ms"


def _leak_of(ledger: Ledger) -> str:
    pods = ledger.pods
    return (
        f"memory of a pod grows by {pods.growth / _MIB:.2f} MiB/s, "
        f"now {pods.memory_bytes / _MIB:.0f} MiB"
    )


def _restarts_of(ledger: Ledger) -> str:
    canary, stable = (ledger.pods.restarts.get(version, 0) for version in _CANARY_FIRST)
    hours = ledger.pods.pod_seconds.get(Version.STABLE, 0.0) / 3600
    return f"restarts {canary}, stable {stable} in {hours:.1f} hours of its pods"


def _of(part: int, whole: int) -> str:
    return f"{_percent(part / whole if whole else 0.0)} of {whole} requests"


def _percent(share: float) -> str:
    percent = 100 * share
    # Two digits; 100 would be 1e+02.
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def _quantile(counts: Counts, share: float) -> str:
    found = counts.quantile(share)
    return "unknown" if found is None else _seconds(found)
