"""The next state of a canary: a pure function of its record and of the observed objects.

A spec that changes the app's pod template is not released at once if it has ``rollout.canary``: it
runs beside the released one with a growing share of the requests, until it is promoted or ends.
The release record stays that of the last good version until then.

Each call returns the record that is to be written next. The caller writes it before anything else,
and calls again, so that everything that follows, the objects and the gate, follows from a record
that is stored.
"""

from dataclasses import replace

from fastapi_operator import naming
from fastapi_operator.judge.verdict import Action
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Look, Outcome, Phase
from fastapi_operator.reconcile.plan.canary_course import Course
from fastapi_operator.reconcile.plan.canary_situation import EVERY, Situation, is_of
from fastapi_operator.reconcile.plan.canary_stage import RUNNING

# Why a canary failed; also the reasons of the condition's message and of Events.
REQUESTED = "AbortRequested"
JUDGED = "JudgedWorse"
UNDECIDED = "NotDecided"
TOO_FEW = "TooFewRequests"
UNREADY = "PodsNotReady"
NO_ROOM = "NoRoom"
UNREADABLE = "MetricsNotReadable"
NO_GAIN = "NoGain"
# Reasons that show nothing about a version: it may be tried again.
UNTRIED = frozenset({TOO_FEW, NO_ROOM, UNREADABLE})

# After so long without a look, the time of the step begins again: the service was suspended, no
# operator ran, or a clock was set forward.
UNSEEN_SECONDS = 300

_ID_LENGTH = 8


def next_record(
    record: CanaryRecord | None, situation: Situation, look: Look | None, now: int
) -> CanaryRecord | None:
    """Returns the record that follows; an equal one if nothing changes, None for none.

    Args:
        record: The stored record; None if there is none.
        situation: The observed objects and requests.
        look: A new look at both versions; None without one.
        now: The time in seconds since 1970.
    """
    if record is None:
        return _begin(situation, now) if situation.may_begin else None
    record = _not_after(record, now)
    if not is_of(record, situation) or situation.course is None:
        return _of_former_spec(record, situation, now)
    # A field of another part, or an upgrade of the operator: still the same version.
    same = replace(
        record,
        template=situation.template or "",
        spec=situation.spec,
        pods=min(record.pods, situation.course.max_pods),
    )
    if same != record:
        return same
    if record.phase in (Phase.STARTING, Phase.PROGRESSING, Phase.HOLDING):
        return _before_promotion(record, situation, situation.course, look, now)
    if record.phase is Phase.PROMOTING:
        return _promoting(record, situation, now)
    return (
        _ending(record, situation)
        if record.phase is Phase.ENDING
        else _aborted(record, situation, now)
    )


def _not_after(record: CanaryRecord, now: int) -> CanaryRecord:
    """Returns it without times of the future: after a wrong clock a step would last until then."""
    return replace(
        record,
        since=min(record.since, now),
        unready_since=min(record.unready_since, now),
        look=replace(record.look, at=min(record.look.at, now)),
    )


def _begin(situation: Situation, now: int) -> CanaryRecord:
    assert situation.template is not None
    assert situation.course is not None
    identity = naming.content_hash(f"{situation.template} {now}")[:_ID_LENGTH]
    return CanaryRecord(
        template=situation.template,
        spec=situation.spec,
        id=identity,
        image=situation.image,
        phase=Phase.STARTING,
        since=now,
        pods=situation.course.pods(1, situation.app_pods),
        replaces=situation.present,
        restart=situation.requests.restart,
        rotate=situation.requests.rotate,
        trial=situation.trial,
        steps=situation.course.steps if situation.trial else (),
    )


def _of_former_spec(record: CanaryRecord, situation: Situation, now: int) -> CanaryRecord | None:
    """Another spec: its own canary follows, or none."""
    if situation.template is None and record.spec == situation.spec:
        # The same one, which cannot be built for a while. A version that failed gets no other try.
        if record.phase is Phase.ABORTED or record.outcome is Outcome.ABORTED:
            return record
        if record.failed:
            return _end(record, Outcome.ABORTED, now, record.reason, record.message)
    if record.phase is Phase.ENDING and not situation.needs_canary:
        return _ending(record, situation)
    if situation.may_begin:
        begun = _begin(situation, now)
        kept = record if record.phase in RUNNING else begun
        return replace(begun, restart=kept.restart, rotate=kept.rotate)
    if record.phase in (Phase.ENDING, Phase.ABORTED):
        return _ending(record, situation)
    reason, message = "Withdrawn", "the spec no longer requests it"
    return _end(record, Outcome.WITHDRAWN, now, reason, message)


def _before_promotion(
    record: CanaryRecord, situation: Situation, course: Course, look: Look | None, now: int
) -> CanaryRecord:
    requests = situation.requests
    if requests.abort == record.id:
        return _end(record, Outcome.ABORTED, now, REQUESTED, _REQUESTED)
    if not situation.needs_canary:
        return _end(record, Outcome.WITHDRAWN, now, "Withdrawn", "nothing is left to release")
    if requests.promote == record.id and situation.migrated:
        return replace(record, phase=Phase.PROMOTING, since=now)
    if record.phase is Phase.STARTING:
        return _starting(record, situation, course, look, now)
    return record if record.failed else _running(record, situation, course, look, now)


def _starting(
    record: CanaryRecord, situation: Situation, course: Course, look: Look | None, now: int
) -> CanaryRecord:
    if look is not None:
        # The judge has nothing to say before the first step, only why it cannot count.
        record = replace(record, look=replace(look, evidence="") if look.is_readable else look)
    # Proxies that still give a share to an earlier canary must not give it to this one.
    is_clean = situation.settled or not record.replaces
    is_ready = situation.canary_pods >= record.pods
    # An app that counts no requests is found out before any client gets the new version.
    can_count = course.divided_by.counts_versions or record.look.is_readable
    if is_ready and can_count and is_clean and situation.migrated:
        return replace(record, phase=Phase.PROGRESSING, step=1, since=now)
    if now - record.since <= course.deadline_seconds:
        return record
    if not is_ready:
        return _fail(record, course, now, *_unready(situation, course))
    if not can_count:
        return _fail(record, course, now, UNREADABLE, record.look.evidence)
    return record


def _running(
    record: CanaryRecord, situation: Situation, course: Course, look: Look | None, now: int
) -> CanaryRecord:
    if look is not None:
        if look.at - max(record.look.at, record.since) > UNSEEN_SECONDS:
            record = replace(record, since=now, unready_since=0)
        record = replace(record, look=look)
    record = _with_readiness(record, situation, now)
    failure = _failure(record, situation, course, now)
    if failure is not None:
        return _fail(record, course, now, *failure)
    is_held = situation.requests.hold in (record.id, EVERY)
    if is_held is not (record.phase is Phase.HOLDING):
        phase = Phase.HOLDING if is_held else Phase.PROGRESSING
        # The time of a step counts from here, so that an old step does not end at once.
        return replace(record, phase=phase, since=now)
    return record if is_held else _stepped(record, situation, course, now)


def _failure(
    record: CanaryRecord, situation: Situation, course: Course, now: int
) -> tuple[str, str] | None:
    """Returns why a canary has failed, as a reason and a message; None if it has not."""
    if record.look.action is Action.ABORT:
        return JUDGED, record.look.evidence
    if record.unready_since and now - record.unready_since > course.deadline_seconds:
        return _unready(situation, course)
    longest = max(course.max_wait_seconds, course.step_seconds)
    is_decided = record.look.action is Action.ADVANCE
    if record.phase is not Phase.PROGRESSING or now - record.since <= longest:
        return None
    if not is_decided:
        return TOO_FEW if record.look.lacks_requests else UNDECIDED, _undecided(record, course)
    if not _may_promote(record, situation) and record.step >= len(course.steps):
        return NO_GAIN, f"no gain within {longest} s: {record.look.evidence}"
    return None


def _stepped(record: CanaryRecord, situation: Situation, course: Course, now: int) -> CanaryRecord:
    """Moves to the next step, or promotes after the last one, if the judge agrees."""
    may_advance = (
        record.look.action is Action.ADVANCE
        and now - record.since >= course.step_seconds
        and not record.unready_since
        and situation.migrated
    )
    is_last = record.step >= len(course.steps)
    if may_advance and is_last and _may_promote(record, situation):
        return replace(record, phase=Phase.PROMOTING, since=now)
    # The pods first, then the requests.
    step = record.step + (may_advance and not is_last)
    needed = course.pods(step, situation.app_pods)
    if needed > record.pods:
        return replace(record, pods=needed)
    if step == record.step or situation.canary_pods < record.pods:
        return record
    # The ledger stays, but the verdict was about the former step.
    look = replace(record.look, action=Action.WAIT, evidence="", gain="")
    return replace(record, step=step, since=now, look=look)


def _may_promote(record: CanaryRecord, situation: Situation) -> bool:
    """Whether a version that is not worse may be released after its last step."""
    return bool(record.look.gain) or not situation.needs_gain


def _with_readiness(record: CanaryRecord, situation: Situation, now: int) -> CanaryRecord:
    if situation.canary_pods >= record.pods:
        return replace(record, unready_since=0) if record.unready_since else record
    return record if record.unready_since else replace(record, unready_since=now)


def _promoting(record: CanaryRecord, situation: Situation, now: int) -> CanaryRecord:
    if situation.template != situation.released:
        # Not released yet: only until then can it still be aborted.
        if situation.requests.abort == record.id:
            return _end(record, Outcome.ABORTED, now, REQUESTED, _REQUESTED)
        return record
    if situation.app_ready:
        return _end(record, Outcome.PROMOTED, now, "Promoted", "the app runs the new version")
    return record


def _ending(record: CanaryRecord, situation: Situation) -> CanaryRecord | None:
    if situation.present or not situation.settled:
        return record
    still_wanted = is_of(record, situation) and situation.needs_canary
    if record.outcome is Outcome.ABORTED and still_wanted:
        return replace(record, phase=Phase.ABORTED, pods=0)
    return None


def _aborted(record: CanaryRecord, situation: Situation, now: int) -> CanaryRecord | None:
    if not situation.needs_canary:
        return None
    if situation.requests.promote == record.id and situation.requests.abort != record.id:
        return replace(
            record,
            phase=Phase.PROMOTING,
            step=0,
            since=now,
            outcome=None,
            reason="",
            message="",
        )
    return record


_REQUESTED = "a person requested it"


def _fail(
    record: CanaryRecord, course: Course, now: int, reason: str, message: str
) -> CanaryRecord:
    if not course.holds:
        return _end(record, Outcome.ABORTED, now, reason, message)
    return replace(
        record,
        phase=Phase.HOLDING,
        since=now,
        failed=True,
        reason=reason,
        message=message,
    )


def _end(
    record: CanaryRecord, outcome: Outcome, now: int, reason: str, message: str
) -> CanaryRecord:
    if record.failed and reason == REQUESTED:
        # People look for the reason of the failure.
        reason, message = record.reason, record.message
    return replace(
        record,
        phase=Phase.ENDING,
        since=now,
        outcome=outcome,
        reason=reason,
        message=message,
        failed=False,
    )


def _unready(situation: Situation, course: Course) -> tuple[str, str]:
    """Returns why the pods are not ready, as a reason and a message."""
    why = f": {situation.diagnosis}" if situation.diagnosis else ""
    message = f"its pods were not ready within {course.deadline_seconds} s{why}"
    return NO_ROOM if situation.lacks_room else UNREADY, message


def _undecided(record: CanaryRecord, course: Course) -> str:
    why = f": {record.look.evidence}" if record.look.evidence else ""
    return f"step {record.step} was not decided within {course.max_wait_seconds} s{why}"
