"""The recommendations in a status: they change only if the measurements changed by enough."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from fastapi_operator import quantity
from fastapi_operator.api.status import RecommendationStatus
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.decision import Decision, Source
from fastapi_operator.tuning.measurements import NEEDS, Measurements, alias_of
from fastapi_operator.tuning.plan import Plan
from fastapi_operator.views.recommendation import Advice, Recommendation


def stored_recommendations(status: Mapping[str, Any]) -> tuple[RecommendationStatus, ...]:
    """Returns the recommendations of a stored status."""
    return tuple(
        RecommendationStatus.model_validate(item) for item in status.get("recommendations") or ()
    )


def recommendations_in_force(
    newest: Sequence[RecommendationStatus] | None, before: Mapping[str, Any], plan: Plan | None
) -> tuple[RecommendationStatus, ...]:
    """Returns the recommendations to report.

    Args:
        newest: Those of the newest measurements; None keeps the stored ones.
        before: The stored status.
        plan: The numbers; None if the spec cannot be parsed.

    Returns:
        Those whose number still has the value that they compare with. A number that the spec
        sets now is not among them.
    """
    found = stored_recommendations(before) if newest is None else tuple(newest)
    if not found or plan is None:
        return found
    if plan.spec.tuning is not None and plan.spec.tuning.mode == "Disabled":
        return ()
    now = {
        decision.name: decision.display()
        for decision in plan.decisions()
        if decision.source in (Source.DERIVED, Source.TUNED)
    }
    return tuple(item for item in found if now.get(item.number) == item.now)


def next_recommendations(
    before: Sequence[RecommendationStatus],
    advice: Advice,
    measured: Measurements,
    *,
    seconds: float,
) -> tuple[RecommendationStatus, ...]:
    """Returns the recommendations after a new measurement.

    The same measurement changes nothing. A recommendation is replaced if the better value moved by
    a tenth or the confidence grew, and is removed if less than a twentieth is to be won.
    Where there are too few data now, the stored one stays.

    Args:
        before: The stored recommendations.
        advice: The recommendations of the measurement.
        measured: The measurement.
        seconds: The length of the observation.
    """
    return tuple(_next(before, advice, measured, seconds))


def _next(
    before: Sequence[RecommendationStatus],
    advice: Advice,
    measured: Measurements,
    seconds: float,
) -> Iterator[RecommendationStatus]:
    stored = {item.number: item for item in before}
    advised = {item.better.name: item for item in advice.recommendations}
    now = {decision.name: decision for decision in advice.now.decisions()}
    missing = tuple(_missing(measured))
    for better in advice.better.decisions():
        old, new = stored.get(better.name), advised.get(better.name)
        if old is not None and (better.name not in now or old.now != now[better.name].display()):
            old = None
        if new is not None:
            found = _record(new, _confidence(new, measured, seconds))
            yield found if old is None or _differs(old, found) else old
        elif old is not None and _is_kept(old, now[better.name], better, missing):
            yield old


def _differs(old: RecommendationStatus, new: RecommendationStatus) -> bool:
    if (old.confidence, new.confidence) == ("Medium", "High"):
        return True
    was, is_now = _amount(old.better), _amount(new.better)
    return was is None or is_now is None or abs(is_now - was) >= figures.GAIN_MIN * was


def _is_kept(
    old: RecommendationStatus,
    now: Decision[Any],
    better: Decision[Any],
    missing: Sequence[str],
) -> bool:
    """Whether a stored recommendation stays that the measurement no longer gives."""
    if any(name in old.evidence for name in missing):
        return True
    gain = abs(better.value - now.value)
    return bool(gain >= figures.GAIN_KEPT_MIN * now.value and gain > 0)


def _missing(measured: Measurements) -> Iterator[str]:
    """Yields the figures for which there are too few data."""
    enough = measured.enough()
    return (alias_of(name) for name in NEEDS if name not in enough)


def _confidence(
    item: Recommendation, measured: Measurements, seconds: float
) -> Literal["Medium", "High"]:
    counts = {name: figure.count for name, figure in measured.figures.present()}
    is_clear = all(
        counts.get(name, 0) >= figures.CONFIDENT_FACTOR * NEEDS[name].requests
        for name in item.better.figures
    )
    return "High" if is_clear and seconds >= figures.CONFIDENT_SECONDS else "Medium"


def _record(item: Recommendation, confidence: Literal["Medium", "High"]) -> RecommendationStatus:
    return RecommendationStatus(
        number=item.better.name,
        now=item.now.display(),
        better=item.better.display(),
        evidence="; ".join(item.evidence),
        confidence=confidence,
        latency=item.latency,
        cpu_millicores=-item.cpu_millicores,
        memory_bytes=-item.memory_bytes,
        disruption=item.better.disruption.value,
    )


def _amount(text: str) -> float | None:
    """Returns the number in a displayed value; None if it has none."""
    try:
        return float(quantity.parse_quantity(text.split(" ", 1)[0]))
    except ValueError:
        return None
