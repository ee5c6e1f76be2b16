"""What the watches have told so far: services, and digests of their children.

It is filled by paged lists before the first pass, kept by watch events and by the answers to our
own writes, and compared with new lists from time to time. Versions decide which is newer, so that
an event that left the API server before our write cannot undo what its answer said.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastapi_operator import naming
from fastapi_operator.cluster.kinds import CONTROLLER_REVISION, DEPLOYMENT, STATEFUL_SET, Kind
from fastapi_operator.reconcile import health, projection, release
from fastapi_operator.reconcile.observed import Child, Health, Observed, ReleaseRecord, Replicas
from fastapi_operator.reconcile.queue import Key
from fastapi_operator.resources.desired import ObjectKey

Body = Mapping[str, Any]

# Annotations of a service with this prefix are requests to the operator; others are not read.
REQUEST_PREFIX = f"{naming.GROUP}/"


@dataclass(frozen=True, slots=True)
class LiveService:
    """A FastAPIService as it was last seen.

    Attributes:
        key: Namespace and name.
        uid: Its uid.
        generation: Generation of its spec.
        version: Its resourceVersion.
        deleting: It has a deletionTimestamp.
        text: ``metadata`` as far as it is read, ``spec`` and ``status`` as JSON text, which
            takes a third of the memory of the dictionaries.
    """

    key: Key
    uid: str
    generation: int
    version: int
    deleting: bool
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """The service as a dictionary of its own."""
        body: dict[str, Any] = json.loads(self.text)
        return body


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
        self._services: dict[Key, LiveService] = {}
        self._children: dict[Key, dict[ObjectKey, Child]] = {}
        self._owners: dict[ObjectKey, Key] = {}
        self._records: dict[Key, tuple[int, str]] = {}
        self._editors: dict[ObjectKey, str] = {}

    # Services ---------------------------------------------------------------------------------

    def service(self, key: Key) -> LiveService | None:
        """A service as last seen, or None."""
        return self._services.get(key)

    @property
    def services(self) -> Iterable[Key]:
        """All services that exist."""
        return tuple(self._services)

    def put_service(self, body: Body) -> bool:
        """Takes in a service; answers whether a pass is needed."""
        seen = _live_service(body)
        known = self._services.get(seen.key)
        if known is not None and known.uid == seen.uid and seen.version <= known.version:
            return False
        self._services[seen.key] = seen
        return known is None or (known.uid, known.text, known.deleting) != (
            seen.uid,
            seen.text,
            seen.deleting,
        )

    def drop_service(self, body: Body) -> Key:
        """Forgets a deleted service; its children stay known until they are gone as well."""
        seen = _live_service(body)
        known = self._services.get(seen.key)
        if known is not None and known.uid == seen.uid:
            del self._services[seen.key]
        return seen.key

    # Children ---------------------------------------------------------------------------------

    def observed(self, key: Key) -> Observed:
        """The children of a service at this moment."""
        record = self._records.get(key)
        return Observed(
            children=dict(self._children.get(key, {})),
            release=_record(*record) if record else None,
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
        key = object_key(kind, body)
        service = _service_of(body)
        if not service:
            return self.drop_child(key)
        owner = Key(sys.intern(key.namespace), sys.intern(service))
        if self._owners.get(key, owner) != owner:
            # It was given to another service: the one that lost it has to look.
            return self.drop_child(key)
        known = self._children.get(owner, {}).get(key)
        version = int(body["metadata"].get("resourceVersion") or 0)
        if known is not None and known.uid == body["metadata"]["uid"]:
            if version < known.version and written:
                return self._answered_late(owner, known, body)
            if version <= known.version and not written:
                return None
        child = _child(kind, key, body, known=known, version=version, written=written)
        self._children.setdefault(owner, {})[key] = child
        self._owners[key] = owner
        if kind is CONTROLLER_REVISION:
            self._put_record(owner, body)
        urgent = known is None or _is_news(child, known)
        if urgent and known is not None:
            self._editors[key] = _last_editor(body)
        if written:
            self._editors.pop(key, None)
            return None
        return Change(owner, urgent=urgent) if urgent or _is_progress(child, known) else None

    def drop_child(self, key: ObjectKey, *, uid: str | None = None) -> Change | None:
        """Forgets an object that is gone, or that lost the label by which it is watched."""
        owner = self._owners.get(key)
        if owner is None:
            return None
        child = self._children[owner][key]
        if uid is not None and child.uid != uid:
            return None
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
        gone = [
            key
            for key in self._owners
            if (key.group, key.kind) == (kind.group, kind.kind)
            and namespace in (None, key.namespace)
            and key not in seen
            and self._children[self._owners[key]][key].version <= version
        ]
        return [change for key in gone if (change := self.drop_child(key)) is not None]

    def editor(self, key: ObjectKey) -> str:
        """The field manager that changed a child last, as far as it is known."""
        return self._editors.get(key, "")

    def _answered_late(self, owner: Key, known: Child, body: Body) -> Change | None:
        """The answer to our write, when an event already told of a later change by others."""
        wanted = projection.live_digest(body)
        self._children[owner][known.key] = replace(known, wanted_digest=wanted, owned=None)
        return Change(owner, urgent=True) if known.live_digest != wanted else None

    def _put_record(self, owner: Key, body: Body) -> None:
        record = release.from_body(body)
        newest = self._records.get(owner)
        if newest is None or record.revision >= newest[0]:
            text = json.dumps({"spec": record.spec, "migrated": record.migrated})
            self._records[owner] = (record.revision, text)

    def _forget_record(self, owner: Key, key: ObjectKey) -> None:
        newest = self._records.get(owner)
        if newest is not None and key.name.endswith(f"-{newest[0]}"):
            del self._records[owner]


def object_key(kind: Kind, body: Body) -> ObjectKey:
    """The identity of a live object; items of a list carry no kind of their own."""
    metadata = body["metadata"]
    return ObjectKey(kind.group, kind.kind, sys.intern(metadata["namespace"]), metadata["name"])


def _service_of(body: Body) -> str:
    """The service that an object belongs to: its owner's, else the one that its label names."""
    controller = _controller(body)
    if controller is not None and controller.get("kind") == naming.KIND:
        return str(controller["name"])
    return str((body["metadata"].get("labels") or {}).get(naming.SERVICE_LABEL, ""))


def _controller(body: Body) -> Mapping[str, Any] | None:
    references = body["metadata"].get("ownerReferences") or ()
    return next((reference for reference in references if reference.get("controller")), None)


def _live_service(body: Body) -> LiveService:
    metadata = body["metadata"]
    requests = {
        name: value
        for name, value in (metadata.get("annotations") or {}).items()
        if name.startswith(REQUEST_PREFIX)
    }
    kept = {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "metadata": {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "generation": metadata.get("generation", 0),
            "annotations": requests,
        },
        "spec": body.get("spec") or {},
        "status": body.get("status") or {},
    }
    return LiveService(
        key=Key(sys.intern(metadata["namespace"]), sys.intern(metadata["name"])),
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        version=int(metadata.get("resourceVersion") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        text=json.dumps(kept, sort_keys=True, separators=(",", ":")),
    )


def _child(
    kind: Kind,
    key: ObjectKey,
    body: Body,
    *,
    known: Child | None,
    version: int,
    written: bool,
) -> Child:
    metadata = body["metadata"]
    same = known is not None and known.uid == metadata["uid"]
    live = projection.live_digest(body)
    wanted: str | None = None
    if written:
        wanted = live
    elif known is not None and same:
        wanted = known.wanted_digest
    owner = _controller(body)
    judged = health.judge(kind.judge, body)
    return Child(
        key=known.key if known is not None else key,
        uid=metadata["uid"],
        owner_uid=owner["uid"] if owner else None,
        service=_service_of(body),
        live_digest=live,
        wanted_digest=wanted,
        desired_digest=(metadata.get("annotations") or {}).get(projection.APPLIED_ANNOTATION),
        health=health.READY if judged == health.READY else Health(*judged),
        version=version,
        created=metadata.get("creationTimestamp", ""),
        deleting=bool(metadata.get("deletionTimestamp")),
        replicas=_replicas(kind, body),
        owned=projection.owned_paths(body) if wanted is None else None,
    )


def _replicas(kind: Kind, body: Body) -> Replicas | None:
    if kind not in (DEPLOYMENT, STATEFUL_SET):
        return None
    return Replicas(
        wanted=body.get("spec", {}).get("replicas", 1),
        ours=naming.FIELD_MANAGER in projection.owners_of(body, "spec", "replicas"),
        live=body.get("status", {}).get("replicas", 0),
    )


def _last_editor(body: Body) -> str:
    entries = [
        entry
        for entry in body["metadata"].get("managedFields") or ()
        if entry.get("manager") != naming.FIELD_MANAGER and entry.get("subresource") != "status"
    ]
    newest = max(entries, key=lambda entry: str(entry.get("time", "")), default=None)
    return str(newest.get("manager", "")) if newest else ""


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
    return known is None or (child.health, child.replicas, child.deleting) != (
        known.health,
        known.replicas,
        known.deleting,
    )


def _record(revision: int, text: str) -> ReleaseRecord:
    data = json.loads(text)
    return ReleaseRecord(data["spec"], tuple(data["migrated"]), revision)
