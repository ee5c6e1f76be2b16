"""A canary in the status, in conditions and in Events."""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi_operator.api.status import CanaryStatus, VersionFigures
from fastapi_operator.reconcile.observe.canary_record import (
    CanaryRecord,
    Figures,
    Outcome,
    Phase,
)
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.plan.canary_course import Course
from fastapi_operator.reconcile.plan.canary_target import CanaryTarget
from fastapi_operator.tuning.canary import Divider

WAITING = "CanaryWaiting"
ABORTED = "CanaryAborted"
FAILED = "CanaryFailed"
# The reasons of a canary that makes progress, or that a person holds.
REASONS = {
    Phase.STARTING: "CanaryStarting",
    Phase.PROGRESSING: "CanaryProgressing",
    Phase.HOLDING: "CanaryHolding",
    Phase.PROMOTING: "CanaryPromoting",
    Phase.ENDING: "CanaryEnding",
}


@dataclass(frozen=True)
class CanarySummary:
    """The canary in the conditions of its service.

    Attributes:
        reason: The reason in one CamelCase word.
        message: The cause first, then the effect and the remedy.
        stopped: Whether it does not continue until a person decides.
    """

    reason: str
    message: str
    stopped: bool = False


def summarize(
    canary: CanaryTarget | None, owner: Owner, released: Mapping[str, object], *, migrates: bool
) -> CanarySummary | None:
    """Returns the canary for the conditions; None without one.

    Args:
        canary: The canary.
        owner: The service.
        released: The spec of the last release.
        migrates: Whether its spec has a migration, which has changed the schema.
    """
    if canary is None or (canary.record is None and canary.is_promoted):
        return None
    record, course = canary.record, canary.situation.course
    if canary.is_trial:
        # The spec is released: a person waits for versions only, not for better numbers.
        return None
    if record is None:
        by_gateway = canary.situation.divided_by is Divider.GATEWAY
        unable = (
            "the Gateway has not accepted the route" if by_gateway else "the proxies are not ready"
        )
        why = unable if canary.situation.migrated else "the migration runs"
        return CanarySummary(WAITING, f"the canary has not begun: {why}")
    is_aborted = record.phase is Phase.ABORTED or record.outcome is Outcome.ABORTED
    if not is_aborted and not record.failed:
        return CanarySummary(REASONS[record.phase], _progress(record, course))
    schema = "; the database keeps the schema of its migration" if migrates else ""
    where = f"{owner.name} -n {owner.namespace}"
    # Versions that differ in their environment alone have one image.
    image = released.get("image", record.image)
    stable = f"{'the released version' if image == record.image else image} serves all requests"
    remedy = f"to release it anyway, run: fastapi-operator promote {where}"
    if is_aborted:
        return CanarySummary(
            ABORTED,
            f"{record.message}; the canary of {record.image} is aborted, and {stable}{schema}; "
            f"apply a fixed spec, or run: fastapi-operator rollback {where}; {remedy}",
            stopped=True,
        )
    return CanarySummary(
        FAILED,
        f"{record.message}; the canary of {record.image} keeps its pods without requests, and "
        f"{stable}{schema}; run: fastapi-operator abort {where}; {remedy}",
        stopped=True,
    )


def canary_status(canary: CanaryTarget | None) -> CanaryStatus | None:
    """Returns ``status.canary``; None without a canary."""
    record = canary.record if canary is not None else None
    if canary is None or record is None:
        return None
    course, look = canary.situation.course, record.look
    steps = course.steps if course is not None else ()
    has_share = record.phase in (Phase.PROGRESSING, Phase.HOLDING, Phase.PROMOTING)
    share = course.share(record.step) if course is not None and not record.failed else 0
    return CanaryStatus(
        id=record.id,
        image=record.image,
        phase=record.phase.value,
        step=record.step,
        steps=len(steps),
        percent=share if has_share else 0,
        since=_time(record.since),
        canary=_figures(look.canary) if look.at else None,
        stable=_figures(look.stable) if look.at else None,
        verdict=record.message or look.evidence or None,
        next=_next(record, course),
        trial=record.trial or None,
    )


def events_of(
    before: Mapping[str, Any], status: CanaryStatus | None
) -> Iterator[tuple[Literal["Normal", "Warning"], str, str]]:
    """Yields type, reason and message of the Events about a canary.

    That it failed or was aborted is an Event of the condition ``Stalled``.

    Args:
        before: The stored status.
        status: The canary's new one.
    """
    old = before.get("canary") or {}
    if status is None:
        if old.get("phase") == Phase.ENDING.value and "withdrawn" in str(old.get("next")):
            yield "Normal", "CanaryWithdrawn", f"the canary of {old.get('image')} is removed"
        return
    subject = f"{status.image} with {status.trial}" if status.trial else status.image
    if old.get("id") != status.id:
        yield "Normal", "CanaryStarted", f"canary {status.id} of {subject}: {status.next}"
        old = {}
    if status.step > old.get("step", 0):
        message = f"{status.percent} % of the requests go to {subject}"
        yield "Normal", "CanaryAdvanced", message
    if status.phase == old.get("phase"):
        return
    if status.phase == Phase.PROMOTING.value:
        why = f": {status.verdict}" if status.verdict else ""
        yield "Normal", "CanaryPromoted", f"{subject} is released{why}"
    elif status.phase == Phase.HOLDING.value and status.percent:
        message = f"{subject} holds at {status.percent} % of the requests: {status.next}"
        yield "Normal", "CanaryHeld", message


def _progress(record: CanaryRecord, course: Course | None) -> str:
    share = course.share(record.step) if course is not None else 0
    has_share = record.phase in (Phase.PROGRESSING, Phase.HOLDING) and share
    position = f"has {share} % of the requests" if has_share else record.phase.value.lower()
    return f"canary: {record.image} {position}; {_next(record, course)}"


def _next(record: CanaryRecord, course: Course | None) -> str:
    """Returns the next step, and its precondition."""
    withdrawn = "withdrawn; " if record.outcome is Outcome.WITHDRAWN else ""
    following = {
        Phase.HOLDING: "waits for a person: promote or abort",
        Phase.PROMOTING: "the app rolls out",
        Phase.ENDING: f"{withdrawn}removed when no proxy sends requests to it",
        Phase.ABORTED: "waits for another spec",
    }
    if record.phase in following or course is None:
        return following.get(record.phase, "")
    if record.phase is Phase.STARTING:
        pods = f"{record.pods} pods are" if record.pods > 1 else "1 pod is"
        is_uncounted = record.look.at and not record.look.is_readable
        when = "they can be counted" if is_uncounted else f"{pods} ready"
        return f"gets {course.share(1)} % of the requests when {when}"
    is_last = record.step >= len(course.steps)
    share = "promotion" if is_last else f"{course.share(record.step + 1)} %"
    return f"{share} from {_time(record.since + course.step_seconds)}, when the judge agrees"


def _figures(figures: Figures) -> VersionFigures:
    return VersionFigures(
        requests=figures.requests,
        errors=figures.errors,
        p95_milliseconds=figures.p95_milliseconds,
    )


def _time(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
