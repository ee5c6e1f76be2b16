"""The migration that a spec requests: its key, its Job, and what must finish before it.

A migration is identified by its request (image, command, retry) and by the database. A success is
recorded in the release record and is never repeated. After a failure, the Job runs again only if an
input that reaches its pods has changed. One migration runs at a time for each database.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import JOB
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.attempt import MIGRATION_ANNOTATION, Attempt
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Child, Observed
from fastapi_operator.reconcile.observe.references import (
    Values,
    compute_stamp,
    find_pod_references,
)
from fastapi_operator.reconcile.plan.owned_object import OwnedObject, make_owned
from fastapi_operator.resources.desired import Desired, ObjectKey


@dataclass(frozen=True)
class Migration:
    """The desired migration of a service.

    Attributes:
        request: The hash of image, command and retry.
        key: The hash of the request and the database; the request if the database is unknown.
        inputs: The hash of everything that reaches the pods of its Job.
        job: The Job that runs it, or has run it, or is to be created.
        succeeded: Whether a record or a Job proves that it has succeeded.
        database: The identity of the database; None if it is not known.
        is_last: Whether it has the newest migration Job of the service, so that no other one has
            changed the database since.
        older: Jobs of this service that have not finished, other than ``job``.
        superseded: Those of ``older`` whose pods have not started.
        elsewhere: Jobs of other services that migrate the same database now.
    """

    request: str
    key: str
    inputs: str
    job: ObjectKey
    succeeded: bool
    database: str | None = None
    is_last: bool = False
    older: tuple[Child, ...] = ()
    superseded: tuple[Child, ...] = ()
    elsewhere: tuple[Child, ...] = ()

    @property
    def blocker(self) -> Child | None:
        """The oldest Job that must finish before this migration may start."""
        return min((*self.older, *self.elsewhere), key=lambda child: child.age, default=None)


def migration_of(database: str | None, request: str) -> str:
    """Returns the key of a request for a database; an unknown database adds nothing."""
    return request if database is None else naming.content_hash(f"{request} {database}")


def find_migration(
    desired_objects: Iterable[Desired],
    observed: Observed,
    owner: Owner,
    *,
    request: str | None,
    database: str | None = None,
    elsewhere: tuple[Child, ...] = (),
) -> Migration | None:
    """Returns the migration of a spec from live objects alone; None if there is none.

    Args:
        desired_objects: The desired objects, with the Job as the builder made it.
        observed: The live objects and the release record.
        owner: The service.
        request: The hash of image, command and retry; None without a migration.
        database: The identity of the database; None if it is not known yet.
        elsewhere: Unfinished migration Jobs of other services on the same database.
    """
    if request is None:
        return None
    key = migration_of(database, request)
    job = next((item for item in desired_objects if _is_migration(item)), None)
    inputs = hash_inputs(job, observed.values) if job is not None else ""
    jobs = _jobs(observed, owner)
    attempts = [
        child
        for child in jobs
        if _attempt(child).key == key or _is_of_older_operator(child, observed, owner, request)
    ]
    chosen = _current(attempts, inputs)
    tail = key if not attempts else naming.content_hash(f"{key} {inputs}")
    name = chosen.key if chosen is not None else job_key(owner, tail)
    older = tuple(child for child in unfinished_jobs(observed, owner) if child.key != name)
    return Migration(
        request=request,
        key=key,
        inputs=inputs,
        job=name,
        succeeded=is_recorded(observed, key, request)
        or any(child.health.ready for child in attempts),
        database=database,
        is_last=chosen is not None and chosen is jobs[-1],
        older=older,
        superseded=tuple(child for child in older if not _attempt(child).started),
        elsewhere=elsewhere,
    )


def is_recorded(observed: Observed, key: str, request: str) -> bool:
    """Whether the release record lists a migration; an older record has no databases."""
    record = observed.release
    if record is None:
        return False
    return key in record.migrated or (record.database is None and request in record.migrated)


def unfinished_jobs(observed: Observed, owner: Owner) -> tuple[Child, ...]:
    """Returns the migration Jobs of a service that have neither succeeded nor failed."""
    return tuple(child for child in _jobs(observed, owner) if is_unfinished(child))


def unstarted_jobs(observed: Observed, owner: Owner) -> tuple[Child, ...]:
    """Returns the unfinished migration Jobs whose status shows no pod that has started."""
    found = unfinished_jobs(observed, owner)
    return tuple(child for child in found if not _attempt(child).started)


def is_unfinished(child: Child) -> bool:
    """Whether pods of a Job may still run."""
    return not child.health.ready and not child.health.failed


def job_key(owner: Owner, tail: str) -> ObjectKey:
    """Returns the identity of a migration Job."""
    name = naming.child_name(owner.name, Part.MIGRATION.record.suffix, tail)
    return ObjectKey(JOB.group, JOB.kind, owner.namespace, name)


def hash_inputs(job: Desired, values: Mapping[ObjectKey, Values]) -> str:
    """Returns a hash of a Job's spec and of the Secret and ConfigMap values that its pods read."""
    stamp = compute_stamp(find_pod_references(job.body), values, None)
    return naming.content_hash({"spec": job.body["spec"], "values": dict(stamp)})


def name_job(owned: OwnedObject, migration: Migration, owner: Owner, database: str) -> OwnedObject:
    """Returns the Job with the name and the annotation of this migration.

    Args:
        owned: The Job as the builder made it.
        migration: The migration.
        owner: The service.
        database: The keyed hash of an external database's address; empty for other databases.
    """
    body = owned.desired.body
    facts = Attempt(migration.request, migration.key, migration.inputs, database)
    annotations = {**body["metadata"].get("annotations", {}), MIGRATION_ANNOTATION: facts.text}
    metadata = {**body["metadata"], "name": migration.job.name, "annotations": annotations}
    return make_owned(replace(owned.desired, body={**body, "metadata": metadata}), owner)


def _jobs(observed: Observed, owner: Owner) -> list[Child]:
    prefix = naming.child_name(owner.name, Part.MIGRATION.record.suffix, "")
    return sorted(
        (
            child
            for child in observed.children.values()
            if child.key.kind == JOB.kind
            and child.owner_uid == owner.uid
            and child.key.name.startswith(prefix)
        ),
        key=lambda child: child.age,
    )


def _current(attempts: list[Child], inputs: str) -> Child | None:
    """Returns the attempt that counts now; None if another one is to be made."""
    done = [child for child in attempts if child.health.ready]
    running = [child for child in attempts if is_unfinished(child) and not child.deleting]
    # An attempt of an older operator did not record its inputs; it is not repeated for that.
    same = [child for child in attempts if _attempt(child).inputs in ("", inputs)]
    started = [child for child in running if child in same or _attempt(child).started]
    for found in (done, started, same):
        if found:
            return found[-1]
    return None


def _is_of_older_operator(child: Child, observed: Observed, owner: Owner, request: str) -> bool:
    """Whether a Job without an annotation runs this request.

    Its name has no database, so it counts only until a record has one.
    """
    if observed.release is not None and observed.release.database is not None:
        return False
    return not _attempt(child).key and child.key == job_key(owner, request)


def _is_migration(desired: Desired) -> bool:
    return desired.key.kind == JOB.kind and desired.part is Part.MIGRATION


def _attempt(child: Child) -> Attempt:
    return child.attempt or Attempt()
