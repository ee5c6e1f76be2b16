"""Plans the rotation of generated credentials: the next write of each Secret.

Two users alternate. A rotation switches to the other user, whose password all servers already
accept, and the pods are replaced as for any value that they read; old pods keep the former user.
When the last old pod has ended, the former user gets another password, which the servers load while
it is not in use. Each write is one patch of one Secret and records the phase, so that the operator
may stop after any of them.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi_operator.api.status import Pending
from fastapi_operator.cluster.kinds import CRON_JOB, JOB
from fastapi_operator.reconcile.observe.observed import Child, Observed, Phase, Rotation
from fastapi_operator.reconcile.plan.migrations import is_unfinished
from fastapi_operator.reconcile.plan.owned_object import OwnedObject, stamp_is_current
from fastapi_operator.reconcile.plan.steps import Action, Step
from fastapi_operator.resources.desired import PASSWORD, USERNAME, ObjectKey
from fastapi_operator.tuning import figures

# The Kubernetes default of terminationGracePeriodSeconds.
_GRACE_SECONDS = 30


@dataclass(frozen=True)
class Rotations:
    """The rotations of a service's credentials.

    Attributes:
        steps: Writes to perform now.
        pending: The reasons why rotations in progress wait.
        requeue_after: The delay in seconds until the next write; None if only an event is awaited.
    """

    steps: tuple[Step, ...] = ()
    pending: tuple[Pending, ...] = ()
    requeue_after: float | None = None


def plan_rotations(
    objects: Sequence[OwnedObject], observed: Observed, *, request: str, now: int
) -> Rotations:
    """Returns the next write of each Secret whose credentials rotate.

    Args:
        objects: The objects of the service that are in force.
        observed: Its live objects.
        request: The service's annotation that requests a rotation.
        now: The time in seconds since 1970.
    """
    steps, pending, waits = [], [], []
    for owned in objects:
        generated, child = owned.desired.generate, observed.children.get(owned.key)
        if generated is None or not generated.alternating or child is None or child.deleting:
            continue
        phase, reason, wait = _next(child, objects, observed, request=request, now=now)
        if reason:
            pending.append(Pending(name=f"rotation of Secret {owned.key.name}", reason=reason))
        if wait > 0:
            waits.append(wait)
        elif phase is not None:
            # A later request waits until this rotation is complete.
            current = child.rotation if phase is not Phase.SWITCHED else None
            rotation = Rotation(current.request if current else request, phase, now)
            steps.append(Step(Action.ROTATE, owned, child, "rotation", rotation=rotation))
    return Rotations(tuple(steps), tuple(pending), min(waits, default=None))


def _next(
    child: Child, objects: Sequence[OwnedObject], observed: Observed, *, request: str, now: int
) -> tuple[Phase | None, str, float]:
    """Returns the next phase, why it waits, and for how long; 0 if only an event is awaited."""
    done = child.rotation
    if done is None or done.phase is Phase.CLOSED:
        if not request or (done is not None and done.request == request):
            return None, "", 0
        if done and done.since > now:
            return _again(done)
        wait = done.since + figures.CREDENTIALS_SETTLE_SECONDS - now if done else 0
        why = f"starts at {_time(now + wait)}, when all servers have loaded the last new password"
        return Phase.SWITCHED, why if wait > 0 else "", wait
    if done.phase is Phase.SWITCHED:
        old = [
            f"{owned.key.kind} {owned.key.name}"
            for owned in objects
            if _is_running_job(owned, observed)
            or (_reads(owned, child.key) and not _replaced(owned, observed))
        ]
        why = f"the former user is kept until these pods are replaced: {', '.join(old)}"
        return (None, why, 0) if old else (Phase.REPLACED, "", 0)
    if done.since > now:
        return _again(done)
    wait = done.since + max((_lifetime(item, child.key) for item in objects), default=0) - now
    why = f"the former user is kept until {_time(now + wait)}, when the last pod with it has ended"
    return Phase.CLOSED, why, wait


def _again(done: Rotation) -> tuple[Phase | None, str, float]:
    """Begins a phase once more: its time is of a clock that was wrong, and may be months ahead."""
    return done.phase, "", 0


def _reads(owned: OwnedObject, secret: ObjectKey) -> bool:
    keys = owned.references.get(secret, frozenset())
    return keys is None or bool(keys & {USERNAME, PASSWORD})


def _is_running_job(owned: OwnedObject, observed: Observed) -> bool:
    """Whether a migration runs; it keeps the values of its start until it ends."""
    child = observed.children.get(owned.key)
    return owned.key.kind == JOB.kind and child is not None and is_unfinished(child)


def _replaced(owned: OwnedObject, observed: Observed) -> bool:
    child = observed.children.get(owned.key)
    return (
        child is not None and child.health.ready and stamp_is_current(owned, child, observed.values)
    )


def _lifetime(owned: OwnedObject, secret: ObjectKey) -> int:
    """Returns the seconds for which a pod may still use the values that it read at its start."""
    spec = owned.desired.body.get("spec", {})
    if owned.key.kind == CRON_JOB.kind:
        job = spec["jobTemplate"]["spec"]
        return int(job["activeDeadlineSeconds"]) + _grace(job["template"])
    return _grace(spec["template"]) if _reads(owned, secret) else 0


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _grace(template: dict[str, dict[str, int]]) -> int:
    return template["spec"].get("terminationGracePeriodSeconds", _GRACE_SECONDS)
