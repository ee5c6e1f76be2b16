"""Kopf's part: it watches and wakes. Handlers only hand events over.

All handlers are ``on.event``: stateless, so that Kopf writes no finalizer, no annotation and no
progress, and sends no request of its own but lists and watches.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import kopf
from kopf._core.reactor import inventory

from fastapi_operator import naming
from fastapi_operator.cluster import connection
from fastapi_operator.cluster.kinds import SERVICE, Kind
from fastapi_operator.reconcile.loop.controller import WATCHED, Controller


class _NoDiffBase(kopf.DiffBaseStorage):
    """Nothing to compare with: we have no state handlers, for which Kopf computes differences.

    That work took 300 of 680 microseconds an event.
    """

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return {}

    def store(self, **_: Any) -> None:
        return None


class NoMemories(inventory.ResourceMemories):
    """Nothing is remembered of an object: only daemons, timers and state handlers need that.

    A thousand services and their objects would take 12 MB.
    """

    async def recall(self, raw_body: Any, **options: Any) -> inventory.ResourceMemory:
        """A memory that is dropped after the event."""
        return await super().recall(raw_body, **{**options, "ephemeral": True})


class _Backoffs:
    """Endless waits: Kopf ends the operator when they are used up, 54 s into an outage."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
        while True:
            yield random.uniform(20.0, 40.0)  # noqa: S311


def registry(
    controller: Controller, configuration: Any, kinds: Iterable[Kind]
) -> kopf.OperatorRegistry:
    """The handlers for one run of the embedded Kopf operator."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await connection.for_kopf(configuration)

    @kopf.on.event(SERVICE.group, SERVICE.version, SERVICE.plural, registry=handlers)
    async def on_service_event(event: Mapping[str, Any], **_: Any) -> None:
        controller.on_service_event(deleted=event["type"] == "DELETED", body=event["object"])
        if event["type"] is None:
            controller.on_watch_relisted()

    for kind in kinds:
        _watch(handlers, controller, kind)
    return handlers


def _watch(handlers: kopf.OperatorRegistry, controller: Controller, kind: Kind) -> None:
    # The core group has the empty name; a bare plural would match Knative's services as well.
    @kopf.on.event(
        group=kind.group,
        version=kind.version,
        plural=kind.plural,
        id=kind.plural,
        registry=handlers,
    )
    async def on_child_event(event: Mapping[str, Any], **_: Any) -> None:
        controller.on_child_event(kind, deleted=event["type"] == "DELETED", body=event["object"])
        if event["type"] is None:
            controller.on_watch_relisted()


def settings(kinds: Iterable[Kind]) -> kopf.OperatorSettings:
    """Kopf's settings; each differs from the default for a measured reason."""
    chosen = kopf.OperatorSettings()
    # A stray peering object named default would pause us.
    chosen.peering.standalone = True
    # The kinds that we watch are chosen by our own discovery.
    chosen.scanning.disabled = True
    # 10,000 objects: 305 MB by default, 65 MB with these two.
    chosen.watching.chunk_size = 500
    chosen.queueing.idle_timeout = 0.05
    chosen.queueing.error_delays = (1, 2, 5, 10, 30, 60)
    for kind in kinds:
        selector = kopf_selector(kind)
        chosen.watching.label_selectors[selector] = WATCHED
    # Bounds streams that a load balancer cut silently, even where bookmarks fail.
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.connect_timeout = 10
    chosen.watching.reconnect_backoff = 0.5
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.networking.error_backoffs = _Backoffs()
    chosen.networking.enforce_retry_after = True
    chosen.persistence.diffbase_storage = _NoDiffBase()
    # Never written; under a prefix of its own, since Kopf hides annotations with its prefix.
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(
        prefix=f"kopf.{naming.GROUP}", v1=False
    )
    chosen.persistence.finalizer = f"{naming.GROUP}/kopf"
    chosen.posting.enabled = False
    chosen.execution.max_workers = 4
    # Kopf would kill the process some time after it broke, although we start it again; a process
    # that does not end is killed by the kubelet.
    chosen.process.ultimate_exiting_timeout = None
    return chosen


def kopf_selector(kind: Kind) -> tuple[str, str, str]:
    """A kind as Kopf's mappings of settings take it."""
    return (kind.group, kind.version, kind.plural)
