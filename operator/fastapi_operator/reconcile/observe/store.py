"""What the watches have told so far: services, and digests of their children.

It is filled by paged lists before the first pass, kept by watch events and by the answers to our
own writes, and compared with new lists from time to time. Versions decide which is newer, so that
an event that left the API server before our write cannot undo what its answer said.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from fastapi_operator.cluster.kinds import CONTROLLER_REVISION, Kind
from fastapi_operator.reconcile.observe import projection, reading
from fastapi_operator.reconcile.observe.identity import Key
from fastapi_operator.reconcile.observe.observed import Child, Observed, ReleaseRecord
from fastapi_operator.reconcile.observe.values import ValueIndex
from fastapi_operator.resources.desired import ObjectKey

Body = Mapping[str, Any]

# Of what went, for answers, events and lists that are older than its end.
GONE_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Change:
    """What an event of a child means for its service.

    Attributes:
        key: The service.
        urgent: An object is new, gone or edited; otherwise only its health changed.
    """

    key: Key
    urgent: bool


class Store:
    """Services and their children by key."""

    def __init__(self) -> None:
        self._services: dict[Key, reading.LiveService] = {}
        self._children: dict[Key, dict[ObjectKey, Child]] = {}
        self._owners: dict[ObjectKey, Key] = {}
        self._records: dict[Key, tuple[int, bytes]] = {}
        self._editors: dict[ObjectKey, str] = {}
        self._gone: dict[str, int] = {}
        self._doubted: set[Key] = set()
        self.values = ValueIndex()

    # Services ---------------------------------------------------------------------------------

    def service(self, key: Key) -> reading.LiveService | None:
        """A service as last seen, or None."""
        return self._services.get(key)

    @property
    def services(self) -> Iterable[Key]:
        """All services that exist."""
        return tuple(self._services)

    def keys(self) -> set[Key | ObjectKey]:
        """All that is known: services and their children."""
        return {*self._services, *self._owners}

    def put_service(self, body: Body) -> bool:
        """Takes in a service; answers whether a pass is needed."""
        seen = reading.live_service(body)
        known = self._services.get(seen.key)
        if seen.uid in self._gone or (known is not None and seen.version <= known.version):
            return False
        self._services[seen.key] = seen
        return known is None or (known.uid, known.text, known.deleting) != (
            seen.uid,
            seen.text,
            seen.deleting,
        )

    def drop_service(self, body: Body) -> Key:
        """Forgets a deleted service; its children stay known until they are gone as well."""
        seen = reading.live_service(body)
        known = self._services.get(seen.key)
        self._bury(seen.uid, seen.version)
        self._doubted.discard(seen.key)
        if known is not None and known.uid == seen.uid:
            del self._services[seen.key]
            self.values.note_reader(seen.key, frozenset())
        return seen.key

    def doubt_all(self) -> None:
        """Notes that each service may have gone since it was listed."""
        self._doubted.update(self._services)

    def doubts(self, key: Key) -> bool:
        """Whether a child went that we did not delete: perhaps its service did, too.

        Each kind has a watch of its own, so that the end of a child may be told before that of
        its service. Whoever makes the child again must ask for the service first.
        """
        return key in self._doubted

    def trust(self, key: Key) -> None:
        """Notes that the service was just seen."""
        self._doubted.discard(key)

    # Children ---------------------------------------------------------------------------------

    def observed(self, key: Key) -> Observed:
        """The children of a service at this moment."""
        record = self._records.get(key)
        return Observed(
            children=dict(self._children.get(key, {})),
            release=_record(*record) if record else None,
            values=self.values.known,
        )

    def child(self, key: ObjectKey) -> Child | None:
        """A child, or None where none is known."""
        owner = self._owners.get(key)
        return self._children[owner].get(key) if owner else None

    def put_child(self, kind: Kind, body: Body, *, written: bool = False) -> Change | None:
        """Takes in a live object; answers whether its service needs a pass.

        Args:
            kind: Its kind.
            body: The live object.
            written: It is the answer to our own write: as it is now is as we want it.
        """
        key = reading.object_key(kind, body)
        service = reading.service_of(body)
        if not service:
            return self.drop_child(key)
        owner = Key(sys.intern(key.namespace), sys.intern(service))
        if self._owners.get(key, owner) != owner:
            # It was given to another service: the one that lost it has to look.
            return self.drop_child(key)
        known = self._children.get(owner, {}).get(key)
        uid, version = body["metadata"]["uid"], int(body["metadata"].get("resourceVersion") or 0)
        newest = known.version if known is not None and known.uid == uid else -1
        if known is not None and written and version < newest:
            return self._answered_late(owner, known, body)
        if version <= max(self._gone.get(uid, -1), -1 if written else newest):
            return None
        child = reading.child_of(kind, key, body, known=known, version=version, written=written)
        self._children.setdefault(owner, {})[key] = child
        self._owners[key] = owner
        if kind is CONTROLLER_REVISION:
            self._put_record(owner, body)
        urgent = known is None or _is_news(child, known)
        if urgent and known is not None:
            self._editors[key] = reading.last_editor(body)
        if written:
            self._editors.pop(key, None)
            return None
        return Change(owner, urgent=urgent) if urgent or _is_progress(child, known) else None

    def end_child(self, key: ObjectKey, body: Body) -> Change | None:
        """Forgets an object of whose end a watch tells: it, or its label, is gone.

        The answer to our own write may come later than the watch's word of a delete after it.
        """
        metadata = body["metadata"]
        self._bury(metadata["uid"], int(metadata.get("resourceVersion") or 0))
        return self.drop_child(key, uid=metadata["uid"])

    def _bury(self, uid: str, version: int) -> None:
        # An object that only lost its label has a later version when it comes back.
        self._gone[uid] = max(version, self._gone.pop(uid, 0))
        if len(self._gone) > GONE_REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def drop_child(self, key: ObjectKey, *, uid: str | None = None) -> Change | None:
        """Forgets an object that is gone, or that lost the label by which it is watched."""
        owner = self._owners.get(key)
        if owner is None:
            return None
        child = self._children[owner][key]
        if uid is not None and child.uid != uid:
            return None
        if not child.deleting:
            self._doubted.add(owner)
        del self._owners[key]
        del self._children[owner][key]
        self._editors.pop(key, None)
        if not self._children[owner]:
            del self._children[owner]
        if key.kind == CONTROLLER_REVISION.kind:
            self._forget_record(owner, key)
        return Change(owner, urgent=True)

    def adopt(self, children: Iterable[Child]) -> None:
        """Notes that children are as an earlier process of ours applied them."""
        for child in children:
            owner = self._owners.get(child.key)
            if owner and self._children[owner].get(child.key) is child:
                self._children[owner][child.key] = replace(
                    child, wanted_digest=child.live_digest, owned=None
                )

    def note_deleting(self, child: Child) -> None:
        """Notes that we asked for a deletion, so that it is asked for once."""
        owner = self._owners.get(child.key)
        if owner and self._children[owner][child.key].uid == child.uid:
            self._children[owner][child.key] = replace(child, deleting=True)

    def missing_from(
        self, kind: Kind, namespace: str | None, seen: set[ObjectKey], version: int
    ) -> list[Change]:
        """Drops what a complete list at ``version`` no longer holds: deletes that were missed."""
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
            self._bury(self._children[self._owners[key]][key].uid, version)
        return [change for key in gone if (change := self.drop_child(key)) is not None]

    def put_values(self, kind: Kind, body: Body) -> list[Key]:
        """Takes in what pods may read; answers the services whose pods must be replaced.

        Where no workload is there yet, it is stamped when it is written.
        """
        return [reader for reader in self.values.put(kind, body) if self._runs(reader)]

    def _runs(self, service: Key) -> bool:
        return any(child.stamp is not None for child in self._children.get(service, {}).values())

    def editor(self, key: ObjectKey) -> str:
        """The field manager that changed a child last, as far as it is known."""
        return self._editors.get(key, "")

    def _answered_late(self, owner: Key, known: Child, body: Body) -> Change | None:
        """The answer to our write, when an event already told of a later change by others."""
        wanted = projection.live_digest(body)
        self._children[owner][known.key] = replace(known, wanted_digest=wanted, owned=None)
        return Change(owner, urgent=True) if known.live_digest != wanted else None

    def _put_record(self, owner: Key, body: Body) -> None:
        record = ReleaseRecord.of(body)
        newest = self._records.get(owner)
        if newest is None or record.revision >= newest[0]:
            text = orjson.dumps(record.data)
            self._records[owner] = (record.revision, text)

    def _forget_record(self, owner: Key, key: ObjectKey) -> None:
        newest = self._records.get(owner)
        if newest is not None and key.name.endswith(f"-{newest[0]}"):
            del self._records[owner]


def _is_news(child: Child, known: Child) -> bool:
    """Whether an object is another one, was edited, changed hands or was scaled."""
    scaled = (child.replicas and child.replicas[:2]) != (known.replicas and known.replicas[:2])
    return scaled or (child.uid, child.live_digest, child.owner_uid) != (
        known.uid,
        known.live_digest,
        known.owner_uid,
    )


def _is_progress(child: Child, known: Child | None) -> bool:
    """Whether an object does its work otherwise than before."""
    return known is None or (child.health, child.replicas, child.deleting, child.rotation) != (
        known.health,
        known.replicas,
        known.deleting,
        known.rotation,
    )


def _record(revision: int, text: bytes) -> ReleaseRecord:
    data = orjson.loads(text)
    return ReleaseRecord(data["spec"], tuple(data["migrated"]), revision)
