"""Which image the ready pods of an app run, by digest.

Pods are not watched. When an app has become ready its pods are listed, once a rollout, and in one
list a namespace for all services that became ready meanwhile.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from fastapi_operator import naming
from fastapi_operator.api.guards import APP_CONTAINER
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import POD
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Key

# Also how long the digest of a new image may be missing from the status.
LOOK_SECONDS = 15.0

_SELECTOR = f"{naming.SERVICE_LABEL},{naming.COMPONENT_LABEL}={Part.APP.value}"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_log = structlog.get_logger(__name__)


class Images:
    """The digests that were seen, and the services that wait to be looked at."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: dict[Key, str] = {}
        self._looked: set[Key] = set()
        self._due: set[Key] = set()

    def digest(self, key: Key) -> str | None:
        """The digest that the pods of a service ran when they were last looked at."""
        return self._seen.get(key)

    def note(self, key: Key, *, ready: bool) -> None:
        """Notes whether the app is ready; where it has become so, its pods are looked at."""
        if not ready:
            self._looked.discard(key)
            self._due.discard(key)
        elif key not in self._looked:
            self._due.add(key)

    def forget(self, key: Key) -> None:
        """Drops a service that is gone."""
        self._seen.pop(key, None)
        self.note(key, ready=False)

    async def look(self) -> list[Key]:
        """Lists the pods of the namespaces that wait; answers the services with another digest."""
        changed = []
        for namespace in {key.namespace for key in self._due}:
            due = {key for key in self._due if key.namespace == namespace}
            try:
                found = await self._running(namespace)
            except ApiError as error:
                _log.warning("pods not listed", error=str(error), namespace=namespace)
                continue
            self._due -= due
            self._looked |= due
            for key in due & found.keys():
                if self._seen.get(key) != found[key]:
                    self._seen[key] = found[key]
                    changed.append(key)
        return changed

    async def _running(self, namespace: str) -> dict[Key, str]:
        found: dict[Key, Counter[str]] = {}
        async for pods, _ in self._client.pages(POD, namespace, label_selector=_SELECTOR):
            for service, digest in _digests(pods):
                found.setdefault(Key(namespace, service), Counter())[digest] += 1
        return {key: counted.most_common(1)[0][0] for key, counted in found.items()}


def _digests(pods: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses") or ():
            if status.get("name") != APP_CONTAINER or not status.get("ready"):
                continue
            match = _DIGEST.search(status.get("imageID", ""))
            if match:
                yield pod["metadata"]["labels"][naming.SERVICE_LABEL], match.group()
