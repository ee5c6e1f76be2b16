"""Which image the ready pods of an app run, by digest.

Pods are not watched. When an app becomes ready, its pods are listed once for each rollout; one
list of a namespace serves all services that became ready meanwhile.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from fastapi_operator import naming
from fastapi_operator.api.guards import APP_CONTAINER
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import DEPLOYMENT, POD
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.pod_diagnostics import image_digest, is_pod_of

# The digest of a new image appears in the status within this time.
POLL_SECONDS = 15.0

_SELECTOR = naming.label_selector(Part.APP)

_log = structlog.get_logger(__name__)


class Images:
    """The digests that were seen, and the services whose pods are to be listed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._digests: dict[ServiceKey, str] = {}
        self._polled: set[ServiceKey] = set()
        self._due: set[ServiceKey] = set()

    def digest(self, key: ServiceKey) -> str | None:
        """Returns the digest that the pods of a service ran when they were last listed."""
        return self._digests.get(key)

    def note(self, key: ServiceKey, *, ready: bool) -> None:
        """Notes whether the app is ready; if it has become ready, its pods are listed."""
        if not ready:
            self._polled.discard(key)
            self._due.discard(key)
        elif key not in self._polled:
            self._due.add(key)

    def forget(self, key: ServiceKey) -> None:
        """Drops a deleted service."""
        self._digests.pop(key, None)
        self.note(key, ready=False)

    async def poll(self) -> list[ServiceKey]:
        """Lists the pods that are due; returns the services whose digest changed."""
        changed = []
        for namespace in {key.namespace for key in self._due}:
            due = {key for key in self._due if key.namespace == namespace}
            try:
                found = await self._running(namespace)
            except ApiError as error:
                _log.warning("cannot list pods", error=str(error), namespace=namespace)
                continue
            self._due -= due
            self._polled |= due
            for key in due & found.keys():
                if self._digests.get(key) != found[key]:
                    self._digests[key] = found[key]
                    changed.append(key)
        return changed

    async def _running(self, namespace: str) -> dict[ServiceKey, str]:
        found: dict[ServiceKey, Counter[str]] = {}
        async for pods, _ in self._client.pages(POD, namespace, label_selector=_SELECTOR):
            for service, digest in _digests(pods):
                found.setdefault(ServiceKey(namespace, service), Counter())[digest] += 1
        return {key: counted.most_common(1)[0][0] for key, counted in found.items()}


def _digests(pods: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for pod in pods:
        service = pod["metadata"]["labels"][naming.SERVICE_LABEL]
        if not is_pod_of(pod, DEPLOYMENT.kind, service):
            continue
        for status in pod.get("status", {}).get("containerStatuses") or ():
            if status.get("name") != APP_CONTAINER or not status.get("ready"):
                continue
            if digest := image_digest(status):
                yield service, digest
