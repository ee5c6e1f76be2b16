"""Reads and writes the measurements of services, with the resourceVersion as precondition."""

from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.kinds import CONFIG_MAP
from fastapi_operator.observation.hours import NOTHING, Hours
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.observe.measurements_record import (
    MeasurementsRecord,
    hours_of,
    record_key,
)
from fastapi_operator.reconcile.observe.observed import Child
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.write import ownership, records


class MeasurementsWriter:
    """Adds to the stored measurements, and deletes them; the responses are stored."""

    def __init__(self, client: Client, store: Store, pace: int = 1) -> None:
        self._client = client
        self._store = store
        self._pace = pace

    async def add(self, hours: Hours, owner: Owner, now: float) -> MeasurementsRecord:
        """Merges a summary with the stored one, and returns the measurements.

        Raises:
            ApiError: The API server refused; 409 if another client wrote first.
            BlockedError: An old object must be deleted first.
            RefusedError: The name is taken.
        """
        key = record_key(owner)
        live = await self._client.get(CONFIG_MAP, key.namespace, key.name)
        stored = NOTHING
        if live is not None:
            ownership.check_name(key, live, owner, once=True)
            stored = hours_of(live)
        record = MeasurementsRecord.new(stored.until(now * self._pace) + hours, owner, now)
        body = record.to_body(owner)
        if live is not None:
            body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        response = await self._client.apply(CONFIG_MAP, body, only_create=live is None)
        self._store.put_child(CONFIG_MAP, response, written=True)
        return record

    async def delete(self, child: Child) -> None:
        """Deletes the measurements of a service.

        Raises:
            ApiError: The API server refused.
        """
        await records.delete(self._client, self._store, child)
