"""Writes the records of canaries and trials, with their resourceVersion as precondition."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import CONFIG_MAP
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.write import ownership, records
from fastapi_operator.reconcile.write.outcome import BlockedError, Outcome, RefusedError
from fastapi_operator.resources.desired import ObjectKey


class RecordWriter:
    """Writes and deletes ConfigMaps with records; the responses are stored."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store

    async def write(
        self, key: ObjectKey, body: Mapping[str, Any] | None, owner: Owner, outcome: Outcome
    ) -> bool:
        """Replaces the stored record; None deletes it. Returns whether that was done.

        Args:
            key: The identity of the record.
            body: The ConfigMap, or None.
            owner: The service.
            outcome: Gets the reason if it was not done: the name is taken, an old object must be
                deleted first, or the API server refused, for example since another client wrote.
        """
        try:
            await self._replace(key, body, owner)
        except RefusedError as error:
            outcome.refusals.append(error.refusal)
        except BlockedError:
            outcome.blocked.append(key)
        except ApiError as error:
            outcome.add_error(key, error)
        else:
            return True
        return False

    async def _replace(self, key: ObjectKey, body: Mapping[str, Any] | None, owner: Owner) -> None:
        child = self._store.child(key)
        if child is not None and child.deleting:
            raise BlockedError
        if body is None:
            if child is not None and child.owner_uid == owner.uid:
                await records.delete(self._client, self._store, child)
            return
        if child is not None and child.owner_uid == owner.uid:
            version: str | None = str(child.version)
        else:
            version = await self._version_of_existing(key, owner)
        if version is not None:
            body = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
        response = await self._client.apply(CONFIG_MAP, body, only_create=version is None)
        if not self._client.dry_run:
            self._store.put_child(CONFIG_MAP, response, written=True)

    async def _version_of_existing(self, key: ObjectKey, owner: Owner) -> str | None:
        """Returns the version of a record that lost its labels; None if none exists."""
        live = await self._client.get(CONFIG_MAP, key.namespace, key.name)
        if live is None:
            return None
        ownership.check_name(key, live, owner, once=True)
        version: str = live["metadata"]["resourceVersion"]
        return version
