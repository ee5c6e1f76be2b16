"""What a pass has to do: from wanted and observed objects to writes, deletes and waiting. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import (
    CLAIM,
    CNPG_CLUSTER,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    STATEFUL_SET,
    owned_kind,
)
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Child, Observed, ReleaseRecord, Rotation
from fastapi_operator.reconcile.observe.projection import covers
from fastapi_operator.reconcile.plan import release
from fastapi_operator.reconcile.plan.owned_object import Sealed, replicas_in_order, stamp_in_order
from fastapi_operator.resources.desired import Desired, Gate, ObjectKey, Write

MIGRATION_JOBS_KEPT = 3


class Action(StrEnum):
    """How an object is written.

    FIRST is an apply that fails where the object exists. APPLY is an apply of what is ours.
    CREATE is one POST. OWN and DISOWN change only the owner reference of what is written once.
    RESIZE brings a volume claim to its wanted size. ROTATE changes credentials. INSPECT reads the
    object first, since its name may be taken.
    """

    FIRST = "first"
    APPLY = "apply"
    CREATE = "create"
    OWN = "own"
    DISOWN = "disown"
    RESIZE = "resize"
    ROTATE = "rotate"
    INSPECT = "inspect"


@dataclass(frozen=True)
class Step:
    """One write.

    Attributes:
        action: How it is written.
        sealed: The body to send.
        child: The live object, where one is known.
        why: ``missing``, ``changed``, ``drift``, ``reference``, ``owner`` or ``rotation``, for
            logs and metrics.
        volume: The data volume whose credentials this Secret would invent; the Secret must
            then be found, and is never made.
        rotation: How far the rotation of the Secret's credentials is after this write.
    """

    action: Action
    sealed: Sealed
    child: Child | None
    why: str
    volume: ObjectKey | None = None
    rotation: Rotation | None = None

    @property
    def content(self) -> str:
        """What tells this write from others of the same object."""
        return self.rotation.text if self.rotation else self.sealed.digest

    @property
    def key(self) -> ObjectKey:
        """The identity of the object that is written."""
        return self.sealed.key


@dataclass(frozen=True)
class Waiting:
    """A wanted object that is not written yet, and what it waits for."""

    key: ObjectKey
    part: Part
    reason: str
    message: str


@dataclass(frozen=True)
class Steps:
    """All that a pass does, in this order.

    Attributes:
        before: Writes that need no release, wave after wave.
        release: The record to write before ``after``; None where it stands.
        after: Writes behind the MIGRATED gate.
        deletes: Objects that are no longer wanted.
        adopted: Children that are found as they were applied by an earlier process.
        waiting: Wanted objects behind a closed gate.
    """

    before: tuple[Step, ...] = ()
    release: ReleaseRecord | None = None
    after: tuple[Step, ...] = ()
    deletes: tuple[Child, ...] = ()
    adopted: tuple[Child, ...] = ()
    waiting: tuple[Waiting, ...] = ()


def open_gates(
    wanted: Iterable[Desired],
    observed: Observed,
    *,
    owner: Owner,
    migration_key: str | None,
) -> frozenset[Gate]:
    """The gates that are open: facts about live objects, never a memory of what was done."""
    opened = {Gate.NONE}
    servers = (STATEFUL_SET.kind, CNPG_CLUSTER.kind)
    databases = [
        desired.key
        for desired in wanted
        if desired.part is Part.DATABASE and desired.key.kind in servers
    ]
    if all(_is_ready(observed, key) for key in databases):
        opened.add(Gate.DATABASE)
    if migration_key is None or migrated(observed, owner, migration_key):
        opened.add(Gate.MIGRATED)
    return frozenset(opened)


def migrated(observed: Observed, owner: Owner, migration_key: str) -> bool:
    """Whether a migration once succeeded: by the record, or by its Job that just has."""
    if observed.release is not None and migration_key in observed.release.migrated:
        return True
    return _is_ready(observed, migration_job(owner, migration_key))


def migration_job(owner: Owner, migration_key: str) -> ObjectKey:
    """The identity of the Job of a migration."""
    name = naming.child_name(owner.name, Part.MIGRATION.record.suffix, migration_key)
    return ObjectKey(JOB.group, JOB.kind, owner.namespace, name)


def in_force(
    wanted: Sequence[Sealed], released: Sequence[Sealed], gates: frozenset[Gate]
) -> tuple[Sealed, ...]:
    """The objects that are kept now: behind a closed MIGRATED gate those of the old release."""
    if Gate.MIGRATED in gates:
        return tuple(wanted)
    free = [sealed for sealed in wanted if sealed.desired.gate is not Gate.MIGRATED]
    old = [sealed for sealed in released if sealed.desired.gate is Gate.MIGRATED]
    return (*free, *old)


def next_steps(
    *,
    owner: Owner,
    wanted: Sequence[Sealed],
    released: Sequence[Sealed],
    observed: Observed,
    gates: frozenset[Gate],
    spec: Mapping[str, object] | None,
    migration_key: str | None,
) -> Steps:
    """What is to do now.

    Args:
        owner: The service.
        wanted: Its objects, built from its spec.
        released: Its objects built from the release record; needed while MIGRATED is closed.
        observed: Its live objects and the release record.
        gates: The gates that are open.
        spec: The spec to record as released once MIGRATED is open; None records nothing.
        migration_key: Key of the wanted migration; None where none is wanted.
    """
    migrating = Gate.MIGRATED not in gates
    kept = in_force(wanted, released, gates)
    keys = {sealed.key for sealed in kept}
    waiting = [
        _waiting(sealed.desired, "WaitingForMigration", "waits for the migration")
        for sealed in wanted
        if sealed.key not in keys
    ]
    lost = _volume_without_credentials(wanted, observed)
    done = observed.release.migrated if observed.release else ()
    before: list[Step] = []
    after: list[Step] = []
    adopted: list[Child] = []
    for sealed in kept:
        desired, child = sealed.desired, observed.children.get(sealed.key)
        if child is None and migration_key in done and _is_migration(desired, owner, migration_key):
            continue  # An image that once succeeded rolls back without a Job.
        if child is None and desired.gate not in gates and desired.gate is not Gate.MIGRATED:
            waiting.append(_waiting(desired, "WaitingForDatabase", "waits for the database"))
            continue
        if child is not None and child.deleting:
            waiting.append(_waiting(desired, "Deleting", "waits until the old object is gone"))
            continue
        if child is None and desired.after in observed.children:
            waiting.append(_waiting(desired, "Deleting", f"waits until {desired.after} is gone"))
            continue
        step = _step(sealed, observed, owner, lost.get(sealed.key))
        if step is not None:
            (after if desired.gate is Gate.MIGRATED else before).append(step)
        elif child is not None and child.wanted_digest is None:
            adopted.append(child)
    record = None
    if not migrating and spec is not None:
        record = release.next_record(
            observed.release,
            spec=spec,
            migration_key=migration_key,
            children=observed.children.values(),
        )
    all_open = set(gates) >= set(Gate)
    return Steps(
        before=_by_wave(before),
        release=record,
        after=_by_wave(after),
        deletes=_no_longer_wanted(owner, keys, observed) if all_open else (),
        adopted=tuple(adopted),
        waiting=tuple(waiting),
    )


def _step(
    sealed: Sealed, observed: Observed, owner: Owner, volume: ObjectKey | None
) -> Step | None:
    child = observed.children.get(sealed.key)
    once = sealed.desired.write is Write.CREATE_ONCE
    if child is None:
        return Step(Action.CREATE if once else Action.FIRST, sealed, None, "missing", volume)
    if child.owner_uid not in (None, owner.uid):
        return Step(Action.INSPECT, sealed, child, "owner")
    if not once:
        why = _difference(sealed, child, observed)
        return Step(Action.APPLY, sealed, child, why) if why else None
    owned, retain = child.owner_uid is not None, sealed.desired.retain
    if owned is retain:
        return Step(Action.DISOWN if retain else Action.OWN, sealed, child, "owner")
    if sealed.key.kind == CLAIM.kind and child.desired_digest != sealed.digest:
        return Step(Action.RESIZE, sealed, child, "changed")
    return None


def _difference(sealed: Sealed, child: Child, observed: Observed) -> str:
    """Why an object of ours has to be applied again, or nothing."""
    if child.desired_digest != sealed.digest:
        return "changed"
    if not stamp_in_order(sealed, child, observed.values):
        return "reference"
    if child.wanted_digest is None:
        as_applied = child.owned is not None and covers(child.owned, sealed.body)
    else:
        as_applied = child.live_digest == child.wanted_digest
    return "" if as_applied and replicas_in_order(sealed, child) else "drift"


def _volume_without_credentials(
    wanted: Iterable[Sealed], observed: Observed
) -> Mapping[ObjectKey, ObjectKey]:
    """Secrets that would be generated although the data they open exists: Secret to volume."""
    volumes = {
        sealed.desired.part: sealed.key
        for sealed in wanted
        if sealed.desired.retain
        and sealed.key.kind == CLAIM.kind
        and sealed.key in observed.children
    }
    return {
        sealed.key: volumes[sealed.desired.part]
        for sealed in wanted
        if sealed.desired.generate is not None
        and sealed.key not in observed.children
        and sealed.desired.part in volumes
    }


def _no_longer_wanted(owner: Owner, keys: set[ObjectKey], observed: Observed) -> tuple[Child, ...]:
    mine = [
        child
        for child in observed.children.values()
        if child.owner_uid == owner.uid and not child.deleting
    ]
    jobs = sorted(
        (child for child in mine if child.key.kind == JOB.kind),
        key=lambda child: (child.key in keys, child.created),
    )
    kept = {child.key for child in jobs[-MIGRATION_JOBS_KEPT:]}
    # Pods of the old revision mount the old configuration until the last of them is replaced.
    rolling = any(
        key in observed.children and not observed.children[key].health.ready
        for key in keys
        if key.kind in (DEPLOYMENT.kind, STATEFUL_SET.kind)
    )
    gone = [
        child
        for child in mine
        if child.key not in keys
        and child.key not in kept
        and child.key.kind != CONTROLLER_REVISION.kind
        and not (rolling and child.key.kind in ("ConfigMap", "Secret"))
    ]
    return (*gone, *release.outdated(mine))


def _is_ready(observed: Observed, key: ObjectKey) -> bool:
    child = observed.children.get(key)
    return child is not None and child.health.ready


def _is_migration(desired: Desired, owner: Owner, migration_key: str | None) -> bool:
    return migration_key is not None and desired.key == migration_job(owner, migration_key)


def _waiting(desired: Desired, reason: str, message: str) -> Waiting:
    return Waiting(key=desired.key, part=desired.part, reason=reason, message=message)


def _by_wave(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: owned_kind(step.key.group, step.key.kind).wave))
