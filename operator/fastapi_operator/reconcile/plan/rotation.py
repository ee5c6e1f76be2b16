"""Rotation of generated credentials: which write of a Secret comes next. Pure.

Two users alternate. A rotation names the other one, whose password every server has long known, and
pods are replaced with it as with any value that they read, while those of before go on with theirs.
When the last of them is gone, the former user gets another password, which servers learn while
nobody uses it. Each write is one patch of one Secret that also says how far it is: an operator may
end at any of them.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi_operator.api.status import Pending
from fastapi_operator.cluster.kinds import CRON_JOB
from fastapi_operator.reconcile.observe.observed import Child, Observed, Phase, Rotation
from fastapi_operator.reconcile.plan.owned_object import Sealed, stamp_in_order
from fastapi_operator.reconcile.plan.steps import Action, Step
from fastapi_operator.resources.desired import PASSWORD, USERNAME, ObjectKey
from fastapi_operator.tuning import figures

# What Kubernetes grants a pod that does not say.
_GRACE_SECONDS = 30


@dataclass(frozen=True)
class Rotations:
    """What is to do now for the credentials of a service.

    Attributes:
        steps: Writes.
        pending: What a rotation that is under way waits for.
        again: In how many seconds there is something to do although nothing happens.
    """

    steps: tuple[Step, ...] = ()
    pending: tuple[Pending, ...] = ()
    again: float | None = None


def next_rotations(kept: Sequence[Sealed], observed: Observed, *, wish: str, now: int) -> Rotations:
    """The next write of each Secret whose credentials rotate.

    Args:
        kept: The objects of the service as they are kept now.
        observed: The live ones.
        wish: The service's annotation that asks for a rotation.
        now: The time in seconds since 1970.
    """
    steps, pending, waits = [], [], []
    for sealed in kept:
        generated, child = sealed.desired.generate, observed.children.get(sealed.key)
        if generated is None or not generated.alternating or child is None or child.deleting:
            continue
        phase, reason, wait = _next(child, kept, observed, wish=wish, now=now)
        if reason:
            pending.append(Pending(name=f"rotation of Secret {sealed.key.name}", reason=reason))
        if wait > 0:
            waits.append(wait)
        elif phase is not None:
            # A later wish waits until this rotation has come to its end.
            begun = child.rotation if phase is not Phase.SWITCHED else None
            after = Rotation(begun.wish if begun else wish, phase, now)
            steps.append(Step(Action.ROTATE, sealed, child, "rotation", rotation=after))
    return Rotations(tuple(steps), tuple(pending), min(waits, default=None))


def _next(
    child: Child, kept: Sequence[Sealed], observed: Observed, *, wish: str, now: int
) -> tuple[Phase | None, str, float]:
    """The next phase, what it waits for, and for how long; 0 where an event will tell."""
    done = child.rotation
    if done is None or done.phase is Phase.CLOSED:
        if not wish or (done is not None and done.wish == wish):
            return None, "", 0
        wait = done.since + figures.CREDENTIALS_SETTLE_SECONDS - now if done else 0
        why = f"begins at {_time(now + wait)}, when all servers know what the last one made"
        return Phase.SWITCHED, why if wait > 0 else "", wait
    if done.phase is Phase.SWITCHED:
        old = [
            f"{sealed.key.kind} {sealed.key.name}"
            for sealed in kept
            if _reads(sealed, child.key) and not _replaced(sealed, observed)
        ]
        why = f"the former user stays until these pods are replaced: {', '.join(old)}"
        return (None, why, 0) if old else (Phase.REPLACED, "", 0)
    wait = done.since + max((_lives_on(item, child.key) for item in kept), default=0) - now
    why = f"the former user stays until {_time(now + wait)}, when the last pod that knows it ended"
    return Phase.CLOSED, why, wait


def _reads(sealed: Sealed, secret: ObjectKey) -> bool:
    keys = sealed.references.get(secret, frozenset())
    return keys is None or bool(keys & {USERNAME, PASSWORD})


def _replaced(sealed: Sealed, observed: Observed) -> bool:
    child = observed.children.get(sealed.key)
    return (
        child is not None and child.health.ready and stamp_in_order(sealed, child, observed.values)
    )


def _lives_on(sealed: Sealed, secret: ObjectKey) -> int:
    """Seconds that a pod may go on with what it read when it started."""
    spec = sealed.desired.body.get("spec", {})
    if sealed.key.kind == CRON_JOB.kind:
        job = spec["jobTemplate"]["spec"]
        return int(job["activeDeadlineSeconds"]) + _grace(job["template"])
    return _grace(spec["template"]) if _reads(sealed, secret) else 0


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _grace(template: dict[str, dict[str, int]]) -> int:
    return template["spec"].get("terminationGracePeriodSeconds", _GRACE_SECONDS)
