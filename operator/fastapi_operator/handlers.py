"""Kopf's handlers: they pass watch events to the controller and do nothing else.

All handlers are ``on.event``. They are stateless, so that Kopf writes no finalizers, annotations or
progress, and sends only lists and watches.
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
    """Stores no last state: Kopf computes differences only for state handlers.

    The differences took 300 of 680 microseconds for each event.
    """

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return {}

    def store(self, **_: Any) -> None:
        return None


class NoMemories(inventory.ResourceMemories):
    """Keeps no memory of objects: only daemons, timers and state handlers need it.

    For a thousand services and their objects it would take 12 MB.
    """

    async def recall(self, raw_body: Any, **options: Any) -> inventory.ResourceMemory:
        """Returns a memory that is dropped after the event."""
        return await super().recall(raw_body, **{**options, "ephemeral": True})


class _Backoffs:
    """Endless back-off: when a finite one is exhausted, after 54 s, Kopf ends the operator."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
        while True:
            yield random.uniform(20.0, 40.0)  # noqa: S311


def registry(
    controller: Controller, configuration: Any, kinds: Iterable[Kind]
) -> kopf.OperatorRegistry:
    """Returns the handlers for one run of the embedded Kopf operator."""
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
    # The core group has an empty name; the plural alone would also match Knative's services.
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
    """Returns Kopf's settings; each differs from the default for a measured reason."""
    chosen = kopf.OperatorSettings()
    # A peering object named default would pause the operator.
    chosen.peering.standalone = True
    # The controller's own discovery chooses the kinds to watch.
    chosen.scanning.disabled = True
    # 10,000 objects: 305 MB by default, 65 MB with these two.
    chosen.watching.chunk_size = 500
    chosen.queueing.idle_timeout = 0.05
    chosen.queueing.error_delays = (1, 2, 5, 10, 30, 60)
    for kind in kinds:
        selector = kopf_selector(kind)
        chosen.watching.label_selectors[selector] = WATCHED
    # Ends streams that a load balancer dropped silently, even if bookmarks do not arrive.
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.connect_timeout = 10
    chosen.watching.reconnect_backoff = 0.5
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.networking.error_backoffs = _Backoffs()
    chosen.networking.enforce_retry_after = True
    chosen.persistence.diffbase_storage = _NoDiffBase()
    # Never written. It has its own prefix, because Kopf hides annotations with its prefix.
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(
        prefix=f"kopf.{naming.GROUP}", v1=False
    )
    chosen.persistence.finalizer = f"{naming.GROUP}/kopf"
    chosen.posting.enabled = False
    chosen.execution.max_workers = 4
    # By default, Kopf kills the process some time after it failed, although it is restarted. The
    # kubelet kills a process that does not end.
    chosen.process.ultimate_exiting_timeout = None
    return chosen


def kopf_selector(kind: Kind) -> tuple[str, str, str]:
    """Returns a kind as Kopf's settings expect it."""
    return (kind.group, kind.version, kind.plural)
