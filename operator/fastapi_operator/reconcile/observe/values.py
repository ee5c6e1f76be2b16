"""Hashes of the watched Secrets and ConfigMaps, and the services whose pods read them."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator.cluster.kinds import CONFIG_MAP, SECRET, Kind
from fastapi_operator.reconcile.observe import reading, references
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.resources.desired import ObjectKey


class ValueIndex:
    """Hashes of values by object, and services by the objects that their pods read."""

    def __init__(self) -> None:
        self._known: dict[ObjectKey, references.Values] = {}
        self._gone: set[ObjectKey] = set()
        self._unwatched: dict[ObjectKey, references.Values] = {}
        self._readers: dict[ObjectKey, set[ServiceKey]] = {}
        self._reads: dict[ServiceKey, frozenset[ObjectKey]] = {}

    @property
    def known(self) -> Mapping[ObjectKey, references.Values]:
        """All known values."""
        return self._known

    @property
    def watched(self) -> frozenset[ObjectKey]:
        """The objects that exist and have the label."""
        return frozenset(self._known.keys() - self._gone)

    @property
    def unwatched(self) -> Mapping[ObjectKey, references.Values]:
        """The values of objects that are not watched, as they were when they were last read."""
        return self._unwatched

    def certificate_fault(self, key: ObjectKey) -> str | None:
        """Returns why a Secret is not a certificate, empty if it is one, None if missing."""
        found = self._unwatched.get(key) if key not in self.watched else self._known[key]
        return found.certificate_fault if found is not None else None

    def put_unwatched(self, key: ObjectKey, body: Mapping[str, Any] | None) -> None:
        """Stores an object that no watch reports; None drops it."""
        self._unwatched.pop(key, None)
        if body is not None:
            self._unwatched[key] = references.hash_values(body)

    def put(self, kind: Kind, body: Mapping[str, Any]) -> frozenset[ServiceKey]:
        """Stores a live object; returns the services that read it if a value changed.

        The operator's own ConfigMaps are ignored: if their change needs a restart, their name
        changes. Deleted objects stay known, because running pods have read them.
        """
        if kind not in (SECRET, CONFIG_MAP) or (
            kind is CONFIG_MAP and reading.service_of(kind, body)
        ):
            return frozenset()
        key, seen = reading.object_key(kind, body), references.hash_values(body)
        known = self._known.get(key)
        if known is not None and known.uid == seen.uid and seen.version <= known.version:
            return frozenset()
        self._known[key] = seen
        returned = key in self._gone
        self._gone.discard(key)
        if known is not None and known.hashes == seen.hashes and not returned:
            return frozenset()
        return frozenset(self._readers.get(key, ()))

    def note_gone(self, key: ObjectKey) -> frozenset[ServiceKey]:
        """Notes that an object was deleted or lost its label; returns the services that read it."""
        if key not in self._known:
            return frozenset()
        self._gone.add(key)
        return frozenset(self._readers.get(key, ()))

    def note_reader(self, service: ServiceKey, read: frozenset[ObjectKey]) -> None:
        """Notes the objects that the pods of a service read; none if the service is deleted."""
        before = self._reads.pop(service, frozenset())
        for key in before - read:
            self._readers[key].discard(service)
        for key in read - before:
            self._readers.setdefault(key, set()).add(service)
        if read:
            self._reads[service] = read

    def missing_from(
        self, kind: Kind, namespace: str | None, seen: set[ObjectKey], version: int
    ) -> None:
        """Drops objects that a complete list at ``version`` lacks, except those that pods read."""
        for key in [
            key
            for key, values in self._known.items()
            if (key.group, key.kind) == (kind.group, kind.kind)
            and namespace in (None, key.namespace)
            and key not in seen
            and values.version <= version
        ]:
            if self._readers.get(key):
                self._gone.add(key)
                continue
            del self._known[key]
            self._gone.discard(key)
            self._readers.pop(key, None)
