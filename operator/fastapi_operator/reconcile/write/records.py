"""Deletes ConfigMaps in which the operator keeps records of a service."""

from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import CONFIG_MAP
from fastapi_operator.reconcile.observe.observed import Child
from fastapi_operator.reconcile.observe.store import Store


async def delete(client: Client, store: Store, child: Child) -> None:
    """Deletes a record in its known version; it may be gone already.

    Raises:
        ApiError: The API server refused; 409 if another client wrote it meanwhile.
    """
    key = child.key
    try:
        await client.delete(
            CONFIG_MAP, key.namespace, key.name, uid=child.uid, version=child.version
        )
    except ApiError as error:
        if error.status != 404:
            raise
    if not client.dry_run:
        store.note_deleting(child)
