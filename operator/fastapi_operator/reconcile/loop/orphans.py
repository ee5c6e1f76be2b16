"""Pods of migrations whose Job is gone.

`kubectl delete job --cascade=orphan` leaves the pod of a Job behind, which continues the
migration. No watch reports pods, so they are listed when such a pod can exist: at start, after an
unfinished Job disappeared, and before a migration starts.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from fastapi_operator import naming
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import JOB, POD
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.store import Store

_ENDED = frozenset({"Succeeded", "Failed"})

_log = structlog.get_logger(__name__)


class OrphanedPods:
    """The pods that migrate without a Job, by service."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store
        self._found: dict[ServiceKey, tuple[str, ...]] = {}
        self._suspected: set[ServiceKey] = set()

    def suspect(self, key: ServiceKey) -> None:
        """Notes that a pod of the service may have lost its Job."""
        self._suspected.add(key)

    def forget(self, key: ServiceKey) -> None:
        """Drops the facts about a deleted service."""
        self._found.pop(key, None)
        self._suspected.discard(key)

    def find(self, key: ServiceKey) -> tuple[str, ...]:
        """Returns the names of the pods that were found last."""
        return self._found.get(key, ())

    async def suspect_all(self, namespace: str | None) -> None:
        """Suspects the services of all pods that migrate now, in a namespace or in all."""
        selector = naming.label_selector(Part.MIGRATION)
        try:
            async for pods, _ in self._client.pages(POD, namespace, label_selector=selector):
                for pod in pods:
                    service = pod["metadata"]["labels"].get(naming.SERVICE_LABEL, "")
                    if not _has_ended(pod):
                        self.suspect(ServiceKey(pod["metadata"]["namespace"], service))
        except ApiError as error:
            _log.warning("cannot list pods of migrations", error=str(error))

    async def refresh(self, key: ServiceKey) -> None:
        """Lists the pods of a service if some can have lost their Job."""
        if key in self._suspected or key in self._found:
            await self.read(key)

    async def read(self, key: ServiceKey) -> bool:
        """Lists the pods of a service; returns whether some migrate without a Job.

        Raises:
            ApiError: The API server failed in a way that may be temporary.
        """
        selector = naming.label_selector(Part.MIGRATION, key.name)
        jobs = {
            child.uid
            for child in self._store.observed(key).children.values()
            if child.key.kind == JOB.kind
        }
        found = []
        try:
            async for pods, _ in self._client.pages(POD, key.namespace, label_selector=selector):
                running = (pod for pod in pods if not _has_ended(pod))
                found += [pod["metadata"]["name"] for pod in running if _owner(pod) not in jobs]
        except ApiError as error:
            if error.temporary:
                raise
            # A role of an older version does not permit it.
            _log.warning("cannot list pods of migrations", error=str(error), service=key.name)
        self.forget(key)
        if found:
            self._found[key] = tuple(sorted(found))
        return bool(found)


def _has_ended(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED


def _owner(pod: Mapping[str, Any]) -> str:
    references = pod["metadata"].get("ownerReferences") or ()
    return next((str(item["uid"]) for item in references if item.get("controller")), "")
