"""Services and digests of their children, as lists and watches reported them.

Paged lists fill the store before the first reconciliation. Watch events and the responses to the
operator's own writes keep it up to date, and it is periodically compared with new lists. Versions
decide which report is newer, so that an event from before a write cannot undo its response.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from fastapi_operator.cluster.kinds import CONTROLLER_REVISION, Kind
from fastapi_operator.reconcile.observe import projection, reading
from fastapi_operator.reconcile.observe.claims import Claim, Claims, Rival, read_claims
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.observed import Child, Observed, ReleaseRecord
from fastapi_operator.reconcile.observe.values import ValueIndex
from fastapi_operator.resources.desired import ObjectKey

Body = Mapping[str, Any]

# Deletions that are remembered, so that older responses, events and lists are recognised.
DELETIONS_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of a child's event on its service.

    Attributes:
        key: The service.
        urgent: An object is new, deleted or edited; otherwise only its health changed.
    """

    key: ServiceKey
    urgent: bool


class Store:
    """Services and their children by key."""

    def __init__(self) -> None:
        self._services: dict[ServiceKey, reading.LiveService] = {}
        self._children: dict[ServiceKey, dict[ObjectKey, Child]] = {}
        self._owners: dict[ObjectKey, ServiceKey] = {}
        # By the uid of the service, because a former service of the same name had records as well.
        self._records: dict[str, tuple[int, bytes]] = {}
        self._last_editors: dict[ObjectKey, str] = {}
        self._deletions: dict[str, int] = {}
        self._unverified: set[ServiceKey] = set()
        self._shared_jobs: set[ObjectKey] = set()
        self._claims = Claims()
        self._disputed: set[ServiceKey] = set()
        self.values = ValueIndex()

    # Services ---------------------------------------------------------------------------------

    def service(self, key: ServiceKey) -> reading.LiveService | None:
        """Returns a service as last reported, or None."""
        return self._services.get(key)

    @property
    def services(self) -> Iterable[ServiceKey]:
        """All services that exist."""
        return tuple(self._services)

    def keys(self) -> set[ServiceKey | ObjectKey]:
        """Returns the keys of all services and their children."""
        return {*self._services, *self._owners}

    def put_service(self, body: Body) -> bool:
        """Stores a service; returns whether it must be reconciled."""
        seen = reading.live_service(body)
        known = self._services.get(seen.key)
        if seen.uid in self._deletions or (known is not None and seen.version <= known.version):
            return False
        self._services[seen.key] = seen
        return known is None or (known.uid, known.text, known.deleting) != (
            seen.uid,
            seen.text,
            seen.deleting,
        )

    def drop_service(self, body: Body) -> ServiceKey:
        """Drops a deleted service; its children stay until they are deleted as well."""
        seen = reading.live_service(body)
        known = self._services.get(seen.key)
        self._record_deletion(seen.uid, seen.version)
        self._unverified.discard(seen.key)
        if known is not None and known.uid == seen.uid:
            del self._services[seen.key]
            self.values.note_reader(seen.key, frozenset())
        return seen.key

    def mark_all_unverified(self) -> None:
        """Notes that each service may have been deleted since it was listed."""
        self._unverified.update(self._services)

    def is_unverified(self, key: ServiceKey) -> bool:
        """Whether a child was deleted by others, so that the service may be deleted as well.

        Each kind has a watch of its own, so that the deletion of a child may be reported before
        that of its service. Before a child is created again, the service must be read.
        """
        return key in self._unverified

    def mark_verified(self, key: ServiceKey) -> None:
        """Notes that the service was just read."""
        self._unverified.discard(key)

    # Children ---------------------------------------------------------------------------------

    def observed(self, key: ServiceKey) -> Observed:
        """Returns the children of a service at this moment."""
        children = dict(self._children.get(key, {}))
        service = self._services.get(key)
        record = self._records.get(service.uid) if service is not None else None
        return Observed(
            children=children,
            release=_record(*record) if record else None,
            values=self.values.known,
            unwatched=self.values.unwatched,
            elsewhere=self.shared_migrations(service.uid) if service is not None else (),
            rivals=tuple(self._rivals(key, children)),
        )

    def _rivals(self, service: ServiceKey, children: Mapping[ObjectKey, Child]) -> Iterator[Rival]:
        for key, child in children.items():
            for claim, other in self._claims.others(key):
                owner = self._owners[other]
                if owner != service and self._children[owner][other].age < child.age:
                    yield Rival(claim, owner.namespace, owner.name)

    def _put_claims(self, key: ObjectKey, claims: tuple[Claim, ...]) -> None:
        before = set(self._claimants(key))
        if self._claims.put(key, claims):
            self._disputed |= before | set(self._claimants(key))

    def _claimants(self, key: ObjectKey) -> Iterator[ServiceKey]:
        return (self._owners[other] for _, other in self._claims.others(key))

    def take_disputed(self) -> set[ServiceKey]:
        """Returns the services whose hosts another object claims now, or no longer claims."""
        found, self._disputed = self._disputed, set()
        return found

    def shared_migrations(self, uid: str) -> tuple[Child, ...]:
        """Returns the unfinished migration Jobs of other services on external databases."""
        jobs = (self._children[self._owners[key]][key] for key in self._shared_jobs)
        return tuple(
            job
            for job in jobs
            if job.owner_uid != uid and not job.health.ready and not job.health.failed
        )

    def child(self, key: ObjectKey) -> Child | None:
        """Returns a child, or None if it is not known."""
        owner = self._owners.get(key)
        return self._children[owner].get(key) if owner else None

    def put_child(
        self,
        kind: Kind,
        body: Body,
        *,
        written: bool = False,
        overridden: tuple[str, ...] = (),
    ) -> Change | None:
        """Stores a live object; returns the effect on its service, if any.

        Args:
            kind: Its kind.
            body: The live object.
            written: Whether it is the response to the operator's own write, and so as desired.
            overridden: Fields that an admission policy changed in that write.
        """
        key = reading.object_key(kind, body)
        service = reading.service_of(kind, body)
        if not service:
            return self.drop_child(key)
        owner = ServiceKey(sys.intern(key.namespace), sys.intern(service))
        if self._owners.get(key, owner) != owner:
            # It was moved to another service: the former one must be reconciled.
            return self.drop_child(key)
        known = self._children.get(owner, {}).get(key)
        uid, version = body["metadata"]["uid"], int(body["metadata"].get("resourceVersion") or 0)
        newest = known.version if known is not None and known.uid == uid else -1
        if known is not None and written and version < newest:
            return self._put_late_response(owner, known, body, overridden)
        if version <= max(self._deletions.get(uid, -1), -1 if written else newest):
            return None
        child = reading.child_of(
            kind, key, body, known=known, version=version, written=written, overridden=overridden
        )
        self._children.setdefault(owner, {})[key] = child
        self._owners[key] = owner
        self._put_claims(key, read_claims(kind, body))
        if child.attempt is not None and child.attempt.database:
            self._shared_jobs.add(key)
        if kind is CONTROLLER_REVISION and child.owner_uid is not None:
            self._put_record(child.owner_uid, body)
        urgent = known is None or _is_changed(child, known)
        if urgent and known is not None:
            self._last_editors[key] = reading.last_editor(body)
        if written:
            self._last_editors.pop(key, None)
            return None
        return Change(owner, urgent=urgent) if urgent or _is_progress(child, known) else None

    def delete_child(self, key: ObjectKey, body: Body) -> Change | None:
        """Drops an object whose deletion, or the loss of its label, a watch reported.

        The response to the operator's own write may arrive after the event of a later deletion.
        """
        metadata = body["metadata"]
        self._record_deletion(metadata["uid"], int(metadata.get("resourceVersion") or 0))
        return self.drop_child(key, uid=metadata["uid"])

    def _record_deletion(self, uid: str, version: int) -> None:
        # If an object only lost its label, it has a later version when it returns.
        self._deletions[uid] = max(version, self._deletions.pop(uid, 0))
        if len(self._deletions) > DELETIONS_REMEMBERED:
            del self._deletions[next(iter(self._deletions))]

    def drop_child(self, key: ObjectKey, *, uid: str | None = None) -> Change | None:
        """Drops an object that was deleted, or that lost the label by which it is watched."""
        owner = self._owners.get(key)
        if owner is None:
            return None
        child = self._children[owner][key]
        if uid is not None and child.uid != uid:
            return None
        if not child.deleting:
            self._unverified.add(owner)
        self._put_claims(key, ())
        del self._owners[key]
        del self._children[owner][key]
        self._shared_jobs.discard(key)
        self._last_editors.pop(key, None)
        if not self._children[owner]:
            del self._children[owner]
        if key.kind == CONTROLLER_REVISION.kind:
            self._forget_record(child)
        return Change(owner, urgent=True)

    def adopt(self, children: Iterable[Child]) -> None:
        """Notes that children are as an earlier operator process applied them."""
        for child in children:
            owner = self._owners.get(child.key)
            if owner and self._children[owner].get(child.key) is child:
                self._children[owner][child.key] = replace(
                    child, expected_live_digest=child.live_digest, owned_fields=None
                )

    def recheck_overridden(self) -> set[ServiceKey]:
        """Lets overridden objects be written again, if the policy is gone; returns the services."""
        found = set()
        for owner, children in self._children.items():
            for key, child in children.items():
                if child.overridden:
                    children[key] = replace(child, expected_live_digest=None)
                    found.add(owner)
        return found

    def note_deleting(self, child: Child) -> None:
        """Notes that the operator deleted a child, so that it does so only once."""
        owner = self._owners.get(child.key)
        if owner and self._children[owner][child.key].uid == child.uid:
            self._children[owner][child.key] = replace(child, deleting=True)

    def missing_from(
        self, kind: Kind, namespace: str | None, seen: set[ObjectKey], version: int
    ) -> list[Change]:
        """Drops the objects that a complete list at ``version`` lacks: missed deletions."""
        self.values.missing_from(kind, namespace, seen, version)
        gone = [
            key
            for key in self._owners
            if (key.group, key.kind) == (kind.group, kind.kind)
            and namespace in (None, key.namespace)
            and key not in seen
            and self._children[self._owners[key]][key].version <= version
        ]
        for key in gone:
            self._record_deletion(self._children[self._owners[key]][key].uid, version)
        return [change for key in gone if (change := self.drop_child(key)) is not None]

    def put_values(self, kind: Kind, body: Body) -> list[ServiceKey]:
        """Stores values that pods may read; returns the services whose pods must be replaced.

        A service without workloads is not returned: they are stamped when they are written.
        """
        return [reader for reader in self.values.put(kind, body) if self._runs(reader)]

    def _runs(self, service: ServiceKey) -> bool:
        # A failed migration may run again; then no workload may exist yet.
        return any(
            child.stamp is not None or child.attempt is not None
            for child in self._children.get(service, {}).values()
        )

    def last_editor(self, key: ObjectKey) -> str:
        """Returns the field manager that changed a child last; empty if it is not known."""
        return self._last_editors.get(key, "")

    def _put_late_response(
        self, owner: ServiceKey, known: Child, body: Body, overridden: tuple[str, ...]
    ) -> Change | None:
        """Stores the response to a write after an event reported a later change by others."""
        expected = projection.live_digest(body)
        self._children[owner][known.key] = replace(
            known, expected_live_digest=expected, owned_fields=None, overridden=overridden
        )
        return Change(owner, urgent=True) if known.live_digest != expected else None

    def _put_record(self, uid: str, body: Body) -> None:
        record = ReleaseRecord.of(body)
        newest = self._records.get(uid)
        if newest is None or record.revision >= newest[0]:
            text = orjson.dumps(record.data)
            self._records[uid] = (record.revision, text)

    def _forget_record(self, child: Child) -> None:
        newest = self._records.get(child.owner_uid or "")
        if newest is not None and child.owner_uid and child.key.name.endswith(f"-{newest[0]}"):
            del self._records[child.owner_uid]


def _is_changed(child: Child, known: Child) -> bool:
    """Whether an object was replaced, edited, scaled, or got another owner."""
    scaled = (child.replicas and child.replicas[:2]) != (known.replicas and known.replicas[:2])
    return scaled or (child.uid, child.live_digest, child.owner_uid) != (
        known.uid,
        known.live_digest,
        known.owner_uid,
    )


def _is_progress(child: Child, known: Child | None) -> bool:
    """Whether the health of an object changed."""
    return known is None or (
        child.health,
        child.replicas,
        child.deleting,
        child.rotation,
        child.attempt,
        child.canary,
        child.tuning,
    ) != (
        known.health,
        known.replicas,
        known.deleting,
        known.rotation,
        known.attempt,
        known.canary,
        known.tuning,
    )


def _record(revision: int, text: bytes) -> ReleaseRecord:
    return ReleaseRecord.of({"data": orjson.loads(text), "revision": revision})
