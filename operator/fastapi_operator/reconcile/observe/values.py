"""The watched Secrets and ConfigMaps, hashed, and which services' pods read them."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator.cluster.kinds import CONFIG_MAP, SECRET, Kind
from fastapi_operator.reconcile.observe import reading, references
from fastapi_operator.reconcile.observe.identity import Key
from fastapi_operator.resources.desired import ObjectKey


class ValueIndex:
    """Hashes of values by object, and services by what their pods read."""

    def __init__(self) -> None:
        self._known: dict[ObjectKey, references.Values] = {}
        self._readers: dict[ObjectKey, set[Key]] = {}
        self._reads: dict[Key, frozenset[ObjectKey]] = {}

    @property
    def known(self) -> Mapping[ObjectKey, references.Values]:
        """All values that are known."""
        return self._known

    def put(self, kind: Kind, body: Mapping[str, Any]) -> frozenset[Key]:
        """Takes in a live object; answers the services that read it, where a value changed.

        ConfigMaps of our own are left out: those whose change needs a restart have another name.
        What is deleted stays known, since pods that run have read it.
        """
        if kind not in (SECRET, CONFIG_MAP) or (kind is CONFIG_MAP and reading.service_of(body)):
            return frozenset()
        key, seen = reading.object_key(kind, body), references.values_of(body)
        known = self._known.get(key)
        if known is not None and known.uid == seen.uid and seen.version <= known.version:
            return frozenset()
        self._known[key] = seen
        if known is not None and known.hashes == seen.hashes:
            return frozenset()
        return frozenset(self._readers.get(key, ()))

    def note_reader(self, service: Key, read: frozenset[ObjectKey]) -> None:
        """Notes what the pods of a service read; nothing where it is gone."""
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
        """Forgets what a complete list at ``version`` no longer holds and no service reads."""
        for key in [
            key
            for key, values in self._known.items()
            if (key.group, key.kind) == (kind.group, kind.kind)
            and namespace in (None, key.namespace)
            and key not in seen
            and values.version <= version
            and not self._readers.get(key)
        ]:
            del self._known[key]
            self._readers.pop(key, None)
