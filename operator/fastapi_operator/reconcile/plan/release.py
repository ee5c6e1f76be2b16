"""The release record: the spec that was released last, and the migrations that have succeeded.

A record is a ControllerRevision ``NAME-release-N``. The API server refuses to change its data, so
that each release is a new object with the next number. The newest one is used; the last ten are
kept as a history. A record is written after the migration Job succeeded and before the Deployment
is applied. While a migration runs or if it failed, the app is built from the newest record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import CONTROLLER_REVISION
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.observed import Child, ReleaseRecord
from fastapi_operator.reconcile.plan.migrations import Migration, migration_of

KEPT = 10
# Keys of migrations that a record keeps; the migration of an older image runs again.
MIGRATIONS_REMEMBERED = 50


def next_record(
    record: ReleaseRecord | None,
    *,
    spec: Mapping[str, object],
    migration: Migration | None,
    database: str | None = None,
    volumes: Mapping[str, str] | None = None,
    children: Iterable[Child] = (),
) -> ReleaseRecord | None:
    """Returns the record to write for a release of ``spec``; None if it exists already.

    Args:
        record: The newest record.
        spec: The spec that is released.
        migration: The migration of the spec, which has succeeded; None if it has none.
        database: The identity of the database; None if it is not known.
        volumes: The uid of each object that holds data, by kind and name.
        children: The live objects, with the numbers of records that are taken.
    """
    before = record or ReleaseRecord(spec={})
    migrated = before.migrated
    if database is not None and before.database is None:
        # The record of an older operator: its migrations succeeded on the database of today.
        migrated = tuple(migration_of(database, request) for request in migrated)
    if migration is not None and migration.key not in migrated:
        migrated = (*migrated, migration.key)[-MIGRATIONS_REMEMBERED:]
    found = ReleaseRecord(
        spec=spec,
        migrated=migrated,
        revision=before.revision,
        database=(database if migrated else None) or before.database,
        volumes=before.volumes if volumes is None else volumes,
    )
    if record is not None and found == before:
        return None
    taken = (_number(child) for child in children if child.key.kind == CONTROLLER_REVISION.kind)
    return replace(found, revision=max(taken, default=before.revision) + 1)


def is_released(record: ReleaseRecord | None, spec: Mapping[str, object]) -> bool:
    """Whether a spec is that of the last release, apart from ``suspend``."""
    if record is None:
        return False
    new, old = ({**item, "suspend": None} for item in (spec, record.spec))
    return new == old


def to_body(record: ReleaseRecord, owner: Owner) -> dict[str, Any]:
    """Returns the ControllerRevision with a record."""
    return {
        "apiVersion": CONTROLLER_REVISION.api_version,
        "kind": CONTROLLER_REVISION.kind,
        "metadata": {
            "name": naming.release_name(owner.name, record.revision),
            "namespace": owner.namespace,
            "labels": naming.labels(owner.name, Part.APP),
            "ownerReferences": [owner.reference],
        },
        "data": record.data,
        "revision": record.revision,
    }


def records_of(bodies: Iterable[Mapping[str, Any]], owner: Owner) -> list[ReleaseRecord]:
    """Returns the records among a service's live ControllerRevisions, oldest first."""
    found = [
        ReleaseRecord.of(body)
        for body in bodies
        if naming.release_number(owner.name, body["metadata"]["name"]) is not None
        and any(
            reference.get("uid") == owner.uid
            for reference in body["metadata"].get("ownerReferences") or ()
        )
    ]
    return sorted(found, key=lambda record: record.revision)


def outdated(children: Iterable[Child]) -> tuple[Child, ...]:
    """Returns the records beyond the history that is kept, oldest first."""
    records = sorted(
        (child for child in children if child.key.kind == CONTROLLER_REVISION.kind), key=_number
    )
    return tuple(records[:-KEPT])


def _number(child: Child) -> int:
    return naming.release_number(child.service, child.key.name) or 0
