"""Plans the steps of a reconciliation: compares desired and live objects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from fastapi_operator.cluster.kinds import (
    CNPG_CLUSTER,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    PERSISTENT_VOLUME_CLAIM,
    STATEFUL_SET,
    owned_kind,
)
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe import measurements_record, tuning_record
from fastapi_operator.reconcile.observe.canary_record import belongs_to_canary, record_key
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Child, Observed, ReleaseRecord, Rotation
from fastapi_operator.reconcile.observe.projection import covers
from fastapi_operator.reconcile.plan import migrations, preflights, release
from fastapi_operator.reconcile.plan.database import Database, holds_data, refuse
from fastapi_operator.reconcile.plan.migrations import Migration
from fastapi_operator.reconcile.plan.owned_object import (
    OwnedObject,
    replicas_match,
    stamp_is_current,
    without,
)
from fastapi_operator.reconcile.plan.preflights import Preflight
from fastapi_operator.reconcile.plan.readiness import child_health
from fastapi_operator.reconcile.plan.refusals import Refusal
from fastapi_operator.resources.desired import Desired, Gate, ObjectKey, Write

MIGRATION_JOBS_KEPT = 3
# The parts behind the MIGRATED gate that do not wait for a promotion: the pooler serves both
# versions, and after a migration its connections must be new.
_BEFORE_PROMOTION = frozenset({Part.POOLER})


class Action(StrEnum):
    """How an object is written.

    FIRST is an apply that fails if the object exists. APPLY is an apply of an object that the
    operator owns. CREATE is a POST of an object that is written once. OWN and DISOWN change only
    the owner reference of such an object. RESIZE enlarges a PersistentVolumeClaim. ROTATE changes
    credentials. INSPECT reads the object first, because its name may be taken.
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
        action: How the object is written.
        owned: The object to write.
        child: The live object; None if it is missing.
        why: ``missing``, ``changed``, ``drift``, ``reference``, ``owner`` or ``rotation``, for
            logs and metrics.
        volume: The existing data volume of a missing credentials Secret; the Secret must then be
            restored and is never generated.
        rotation: The rotation of the Secret's credentials after this write.
        held: Secrets whose changes must not restart pods yet.
        address: The external database on which a migration Job works; in memory only.
    """

    action: Action
    owned: OwnedObject
    child: Child | None
    why: str
    volume: ObjectKey | None = None
    rotation: Rotation | None = None
    held: frozenset[ObjectKey] = frozenset()
    address: str | None = None

    @property
    def key(self) -> ObjectKey:
        """The identity of the object that is written."""
        return self.owned.key


@dataclass(frozen=True)
class Waiting:
    """A desired object that is not written yet, and the reason."""

    key: ObjectKey
    part: Part
    reason: str
    message: str


@dataclass(frozen=True)
class Steps:
    """The steps of a reconciliation, in this order.

    Attributes:
        before_release: Writes in front of the MIGRATED gate, wave after wave.
        release: The release record to write; None if it exists already.
        after_release: Writes behind the MIGRATED gate, wave after wave.
        deletes: Objects that are no longer desired.
        abandoned: Migration Jobs that are no longer desired and whose pods may not have started;
            they are deleted if no pod has.
        adopted: Children that are as an earlier operator process applied them.
        waiting: Desired objects that are not written yet.
        refusals: What cannot be done until a person decides.
        volumes: Objects with data, whose uids the release record lists.
    """

    before_release: tuple[Step, ...] = ()
    release: ReleaseRecord | None = None
    after_release: tuple[Step, ...] = ()
    deletes: tuple[Child, ...] = ()
    abandoned: tuple[Child, ...] = ()
    adopted: tuple[Child, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    volumes: tuple[ObjectKey, ...] = ()

    @property
    def writes(self) -> tuple[Step, ...]:
        """All writes of objects."""
        return (*self.before_release, *self.after_release)


def find_open_gates(
    desired_objects: Iterable[Desired],
    observed: Observed,
    *,
    owner: Owner,
    migration: Migration | None,
    preflight: Preflight | None = None,
) -> frozenset[Gate]:
    """Returns the gates that are open, from live objects and the report of a preflight.

    MIGRATED is closed while any migration Job of the service runs: it changes the schema below the
    app, also if it belongs to a newer image that was rolled back, or to a former database. So it is
    while a pod runs whose Job was deleted.
    """
    opened = {Gate.NONE}
    servers = (STATEFUL_SET.kind, CNPG_CLUSTER.kind)
    databases = [
        desired
        for desired in desired_objects
        if desired.part is Part.DATABASE and desired.key.kind in servers
    ]
    if all(_serves(observed, desired, owner) for desired in databases):
        opened.add(Gate.DATABASE)
    checked = preflight is None or preflight.passed
    if checked:
        opened.add(Gate.CHECKED)
    succeeded = checked and (migration is None or migration.succeeded)
    if succeeded and not observed.orphans and not migrations.unfinished_jobs(observed, owner):
        # Without a canary, nothing needs a promotion.
        opened |= {Gate.MIGRATED, Gate.PROMOTED}
    return frozenset(opened)


def objects_in_force(
    desired_objects: Sequence[OwnedObject],
    released_objects: Sequence[OwnedObject],
    gates: frozenset[Gate],
) -> tuple[OwnedObject, ...]:
    """Returns the objects to keep now; behind a closed gate those of the last release."""
    free = [owned for owned in desired_objects if not _is_behind(owned.desired, gates)]
    old = [owned for owned in released_objects if _is_behind(owned.desired, gates)]
    return (*free, *old)


def _is_behind(desired: Desired, gates: frozenset[Gate]) -> bool:
    """Whether an object is of the last release until a gate opens."""
    if desired.gate is not Gate.MIGRATED:
        return False
    waits_for_promotion = desired.part not in _BEFORE_PROMOTION
    return Gate.MIGRATED not in gates or (waits_for_promotion and Gate.PROMOTED not in gates)


def plan_steps(
    *,
    owner: Owner,
    desired_objects: Sequence[OwnedObject],
    released_objects: Sequence[OwnedObject],
    observed: Observed,
    gates: frozenset[Gate],
    spec: Mapping[str, object] | None,
    migration: Migration | None,
    preflight: Preflight | None = None,
    database: Database | None = None,
    proxies_settled: bool = True,
) -> Steps:
    """Returns the steps to perform now.

    Args:
        owner: The service.
        desired_objects: Its objects, built from its spec.
        released_objects: Its objects, built from the release record; needed while MIGRATED is
            closed.
        observed: Its live objects and the release record.
        gates: The gates that are open.
        spec: The spec to record as released when MIGRATED is open; None to record nothing.
        migration: The desired migration; None if there is none.
        preflight: The desired preflight; None if there is none.
        database: The identity of the database and its volumes.
        proxies_settled: Whether no proxy has an older configuration, which may still name objects
            of a canary that are no longer desired.
    """
    database = database or Database()
    # While another external database is migrated, running pods keep the values of the former one.
    held = frozenset() if Gate.MIGRATED in gates else database.secrets
    objects = objects_in_force(desired_objects, released_objects, gates)
    keys = {owned.key for owned in objects}
    why = _closed_gate(gates)
    waiting = [_waiting(owned.desired, *why) for owned in desired_objects if owned.key not in keys]
    lost = _volume_without_credentials(desired_objects, observed)
    before: list[Step] = []
    after: list[Step] = []
    adopted: list[Child] = []
    for owned in objects:
        desired, child = owned.desired, observed.children.get(owned.key)
        if child is None and _is_done(desired, migration, preflight):
            continue  # If an image's migration has succeeded once, its rollback needs no Job.
        blocker = _blocker(desired, child, observed, gates, migration)
        if blocker is not None:
            waiting.append(blocker)
            continue
        if _is_frozen(desired, database):
            if child is None:
                waiting.append(_waiting(desired, "VolumeLost", "waits for the lost volume"))
            continue
        step = _step(owned, observed, owner, lost.get(owned.key), held)
        if step is not None and desired.part is Part.MIGRATION:
            step = replace(step, address=database.address)
        if step is not None:
            (after if desired.gate is Gate.MIGRATED else before).append(step)
        elif child is not None and child.expected_live_digest is None:
            adopted.append(child)
    record = None
    is_open = {Gate.MIGRATED, Gate.PROMOTED} <= gates
    if is_open and spec is not None and not database.lost:
        record = release.next_record(
            observed.release,
            spec=spec,
            migration=migration,
            database=database.identity,
            volumes=database.volumes,
            children=observed.children.values(),
        )
    all_open = set(gates) >= set(Gate) and not database.lost
    wanted = keys | {owned.key for owned in desired_objects}
    deletes = (
        _no_longer_desired(owner, keys, observed)
        if all_open
        else _outdated_jobs(owner, keys, observed)
    )
    return Steps(
        before_release=_by_wave(before),
        release=record,
        after_release=_by_wave(after),
        deletes=(
            *deletes,
            *preflights.obsolete(preflight, observed, owner),
            *_ended_canary(owner, wanted, observed, settled=proxies_settled),
        ),
        abandoned=_abandoned(owner, observed, migration),
        adopted=tuple(adopted),
        waiting=tuple(waiting),
        refusals=refuse(database.lost, owner),
        volumes=tuple(owned.key for owned in objects if holds_data(owned.desired))
        if record is not None
        else (),
    )


def _is_frozen(desired: Desired, database: Database) -> bool:
    """Whether an object must not be written, because the data that it is about is lost."""
    parts = {volume.part for volume in database.lost}
    if Part.DATABASE in parts:
        parts |= {Part.MIGRATION, Part.BACKUP}
        if desired.gate is Gate.MIGRATED:
            return True
    return desired.part in parts


def _blocker(
    desired: Desired,
    child: Child | None,
    observed: Observed,
    gates: frozenset[Gate],
    migration: Migration | None,
) -> Waiting | None:
    """Returns the reason why an object cannot be written now; None if it can."""
    if child is None and migration is not None and desired.key == migration.job:
        why = _migration_blocker(migration, observed, gates)
        if why is not None:
            return _waiting(desired, *why)
    if child is None and desired.gate not in gates and desired.gate is not Gate.MIGRATED:
        return _waiting(desired, "WaitingForDatabase", "waits for the database")
    if child is not None and child.deleting:
        return _waiting(desired, "Deleting", "waits until the old object is deleted")
    if child is None and desired.blocked_by in observed.children:
        return _waiting(desired, "Deleting", f"waits until {desired.blocked_by} is deleted")
    return None


def _migration_blocker(
    migration: Migration, observed: Observed, gates: frozenset[Gate]
) -> tuple[str, str] | None:
    """Returns what must end before a migration starts; None if it may."""
    if Gate.CHECKED not in gates:
        return _closed_gate(gates)
    if observed.orphans:
        return waits_for_pod(migration.job.namespace, observed.orphans)
    return waits_for_job(migration.blocker) if migration.blocker is not None else None


def _step(
    owned: OwnedObject,
    observed: Observed,
    owner: Owner,
    volume: ObjectKey | None,
    held: frozenset[ObjectKey],
) -> Step | None:
    child = observed.children.get(owned.key)
    once = owned.desired.write is Write.CREATE_ONCE
    if child is None:
        return Step(Action.CREATE if once else Action.FIRST, owned, None, "missing", volume)
    if not child.can_belong_to(owner.uid) or (not once and _is_unproven(owned, child)):
        return Step(Action.INSPECT, owned, child, "owner")
    if not once:
        why = _difference(owned, child, observed, held)
        return Step(Action.APPLY, owned, child, why, held=held) if why else None
    has_owner, retain = child.owner_uid is not None, owned.desired.retain
    if has_owner is retain:
        return Step(Action.DISOWN if retain else Action.OWN, owned, child, "owner")
    if (
        owned.key.kind == PERSISTENT_VOLUME_CLAIM.kind
        and child.last_applied_digest != owned.built_digest
    ):
        return Step(Action.RESIZE, owned, child, "changed")
    return None


def _is_unproven(owned: OwnedObject, child: Child) -> bool:
    """Whether only a label shows that an object is ours: the operator never wrote it."""
    never_written = child.owner_uid is None and child.last_applied_digest is None
    return never_written and not owned.desired.retain


def _difference(
    owned: OwnedObject, child: Child, observed: Observed, held: frozenset[ObjectKey]
) -> str:
    """Returns why an object must be applied again; empty if it need not be."""
    if child.last_applied_digest != owned.built_digest:
        return "changed"
    if not stamp_is_current(owned, child, without(observed.values, held)):
        return "reference"
    if child.expected_live_digest is None:
        as_applied = child.owned_fields is not None and covers(child.owned_fields, owned.body)
    else:
        as_applied = child.live_digest == child.expected_live_digest
    return "" if as_applied and replicas_match(owned, child) else "drift"


def _volume_without_credentials(
    desired_objects: Sequence[OwnedObject], observed: Observed
) -> Mapping[ObjectKey, ObjectKey]:
    """Returns the volumes of credentials Secrets that are missing although their data exists."""
    volumes = {
        owned.desired.part: owned.key
        for owned in desired_objects
        if owned.desired.retain
        and owned.key.kind == PERSISTENT_VOLUME_CLAIM.kind
        and owned.key in observed.children
    }
    return {
        owned.key: volumes[owned.desired.part]
        for owned in desired_objects
        if owned.desired.generate is not None
        and owned.key not in observed.children
        and owned.desired.part in volumes
    }


def _no_longer_desired(owner: Owner, keys: set[ObjectKey], observed: Observed) -> tuple[Child, ...]:
    mine = [
        child
        for child in observed.children.values()
        if child.owner_uid == owner.uid and not child.deleting
    ]
    kept = {child.key for child in mine if child.key.kind == JOB.kind}
    kept -= {child.key for child in _outdated_jobs(owner, keys, observed)}
    # Pods of the old revision mount the old configuration until the last one is replaced.
    rolling = any(
        key in observed.children and not observed.children[key].health.ready
        for key in keys
        if key.kind in (DEPLOYMENT.kind, STATEFUL_SET.kind)
    )
    records = record_keys(owner)
    gone = [
        child
        for child in mine
        if child.key not in keys
        and child.key not in kept
        and child.key.kind != CONTROLLER_REVISION.kind
        and child.key not in records
        and not belongs_to_canary(owner, child.key)
        and not (rolling and child.key.kind in ("ConfigMap", "Secret"))
    ]
    return (*gone, *release.outdated(mine))


def record_keys(owner: Owner) -> frozenset[ObjectKey]:
    """Returns the ConfigMaps in which the operator remembers facts about a service."""
    modules = (measurements_record, tuning_record)
    return frozenset({record_key(owner), *(module.record_key(owner) for module in modules)})


def canary_children(owner: Owner, observed: Observed) -> tuple[Child, ...]:
    """Returns the live objects of a canary of the service, wanted or not."""
    return tuple(
        child
        for child in observed.children.values()
        if child.owner_uid == owner.uid and belongs_to_canary(owner, child.key)
    )


def _ended_canary(
    owner: Owner, wanted: set[ObjectKey], observed: Observed, *, settled: bool
) -> tuple[Child, ...]:
    """Returns the objects of a canary that are no longer wanted, once no proxy knows them."""
    if not settled:
        return ()
    found = canary_children(owner, observed)
    return tuple(child for child in found if child.key not in wanted and not child.deleting)


def _serves(observed: Observed, desired: Desired, owner: Owner) -> bool:
    """Whether a database is ready, with the pods that it needs."""
    child = observed.children.get(desired.key)
    return _is_ready(observed, desired.key, owner) and (
        child is not None and child_health(desired, child).ready
    )


def _outdated_jobs(owner: Owner, keys: set[ObjectKey], observed: Observed) -> tuple[Child, ...]:
    """Returns the finished migration Jobs beyond those that are kept, oldest first."""
    jobs = sorted(
        (
            child
            for child in observed.children.values()
            if child.key.kind == JOB.kind
            and child.owner_uid == owner.uid
            and not child.deleting
            and not preflights.is_job(owner.name, child.key)
        ),
        key=lambda child: (child.key in keys, child.created),
    )
    return tuple(
        child for child in jobs[:-MIGRATION_JOBS_KEPT] if not migrations.is_unfinished(child)
    )


def _abandoned(owner: Owner, observed: Observed, migration: Migration | None) -> tuple[Child, ...]:
    jobs = migrations.unstarted_jobs(observed, owner) if migration is None else migration.superseded
    return tuple(child for child in jobs if not child.deleting)


def _is_ready(observed: Observed, key: ObjectKey, owner: Owner) -> bool:
    """Whether an object of this service is ready; one of a former service does not count."""
    child = observed.children.get(key)
    return child is not None and child.can_belong_to(owner.uid) and child.health.ready


def waits_for_job(job: Child) -> tuple[str, str]:
    """Returns the reason and the message of a migration that another Job delays."""
    name = f"Job {job.key.namespace}/{job.key.name}"
    return "WaitingForOtherMigration", (
        f"waits until {name} has finished, because only one migration of a database runs at a time"
    )


def waits_for_pod(namespace: str, orphans: Sequence[str]) -> tuple[str, str]:
    """Returns the reason and the message of a migration that a pod without a Job delays."""
    return "WaitingForOtherMigration", (
        f"waits until Pod {namespace}/{orphans[0]} has ended, because only one migration of a "
        "database runs at a time; its Job was deleted, so to stop it, delete the pod"
    )


def _is_done(desired: Desired, migration: Migration | None, preflight: Preflight | None) -> bool:
    """Whether an object is the Job of a migration or a preflight that has succeeded."""
    done = {migration.job} if migration is not None and migration.succeeded else set()
    if preflight is not None and preflight.passed:
        done.add(preflight.job)
    return desired.key in done


def _closed_gate(gates: frozenset[Gate]) -> tuple[str, str]:
    """Returns the reason and the message of objects that wait for their release."""
    if Gate.CHECKED not in gates:
        return "WaitingForPreflight", "waits until the new image has been checked"
    if Gate.MIGRATED in gates:
        return "WaitingForCanary", "waits until the canary is promoted"
    return "WaitingForMigration", "waits for the migration"


def _waiting(desired: Desired, reason: str, message: str) -> Waiting:
    return Waiting(key=desired.key, part=desired.part, reason=reason, message=message)


def _by_wave(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: owned_kind(step.key.group, step.key.kind).wave))
