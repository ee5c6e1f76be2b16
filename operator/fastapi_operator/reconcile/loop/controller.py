"""The controller: events and lists fill the store and the queue, workers empty the queue."""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Container, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from fastapi_operator import naming
from fastapi_operator.cluster import discovery, kinds
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.failures import Failures
from fastapi_operator.cluster.kinds import SERVICE, Kind
from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.loop import api_waits, images
from fastapi_operator.reconcile.loop.api_waits import ApiWaits
from fastapi_operator.reconcile.loop.canary import Looks
from fastapi_operator.reconcile.loop.images import Images
from fastapi_operator.reconcile.loop.leak_guard import LeakGuard
from fastapi_operator.reconcile.loop.observer import Observer
from fastapi_operator.reconcile.loop.orphans import OrphanedPods
from fastapi_operator.reconcile.loop.published_settings import PublishedSettings
from fastapi_operator.reconcile.loop.queue import Queue
from fastapi_operator.reconcile.loop.reconciler import Reconciler
from fastapi_operator.reconcile.loop.telemetry import Telemetry
from fastapi_operator.reconcile.loop.worker import Worker
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.pod_diagnostics import PodDiagnostics
from fastapi_operator.reconcile.observe.reading import object_key
from fastapi_operator.reconcile.observe.store import Change, Store
from fastapi_operator.reconcile.plan import pending
from fastapi_operator.reconcile.plan.desired_state import BuildDesiredState
from fastapi_operator.reconcile.plan.desired_state_cache import DesiredStateCache
from fastapi_operator.reconcile.plan.migrations import is_unfinished
from fastapi_operator.reconcile.plan.rollouts import Rollouts
from fastapi_operator.reconcile.write.brakes import Brakes
from fastapi_operator.reconcile.write.perform import Performer
from fastapi_operator.resources.desired import ObjectKey
from fastapi_operator.settings import Settings

# The statuses of several children change together; one reconciliation is enough for all.
HEALTH_DEBOUNCE_SECONDS = 0.2
# The keys of a Secret are often changed one after another; the pods are replaced once for all.
VALUES_DEBOUNCE_SECONDS = 1.0
# Services that are created together read the namespaces once.
FRESH_SECONDS = 5.0
# Among the services that are due, those with a rollout in progress come first: their desired state
# is cached, and a person may be waiting. Then come changed services, then periodic work.
CHANGED_SLACK_SECONDS = 5.0
ROUTINE_SLACK_SECONDS = 30.0
LIST_RETRY_SECONDS = (0.2, 1.0, 2.0)
# The initial list of a watch takes a second or two, and longer for thousands of objects.
CONFIRM_AFTER_SECONDS = (2.0, 3.0, 5.0, 10.0, 30.0)
WATCH_EXPIRED_DELAY_SECONDS = 2.0
WATCHED = f"{naming.WATCHED_LABEL}=true"

_log = structlog.get_logger(__name__)

_Fact = TypeVar("_Fact")


class Controller:
    """Reconciles all services of the watched namespaces."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        telemetry: Telemetry,
        *,
        build: BuildDesiredState,
        looks: Looks,
        published: PublishedSettings | None = None,
    ) -> None:
        self._client = client
        self._settings = settings
        self._telemetry = telemetry
        self.facts = Facts()
        self.store = Store()
        self.queue = Queue(clock=time.monotonic)
        self._brakes = Brakes(clock=time.monotonic)
        self._pod_diagnostics = PodDiagnostics(clock=time.monotonic)
        self._rollouts = Rollouts(limit=settings.rollouts_at_once, wake=self.queue.add)
        self._images = Images(client)
        self.observer = Observer(
            client,
            self.store,
            settings,
            telemetry,
            facts=lambda: self.facts,
            wake=lambda key: self.queue.add(key, slack=ROUTINE_SLACK_SECONDS),
        )
        self.leak_guard = LeakGuard(client, self.store, settings, wake=self.queue.add)
        self._orphans = OrphanedPods(client, self.store)
        self._api_awaited = asyncio.Event()
        self._reconciler = Reconciler(
            client=client,
            store=self.store,
            desired_states=DesiredStateCache(settings, build=build),
            performer=Performer(
                client, self.store, self._brakes, wake=self.queue.add, count=telemetry.wrote
            ),
            pod_diagnostics=self._pod_diagnostics,
            rollouts=self._rollouts,
            images=self._images,
            observer=self.observer,
            leak_guard=self.leak_guard,
            looks=looks,
            orphans=self._orphans,
            api_waits=ApiWaits(clock=time.monotonic, discover=self._api_awaited.set),
            telemetry=telemetry,
            clock=time.monotonic,
            instance=socket.gethostname(),
            settings=str(published) if published is not None else None,
        )
        self.worker = Worker(self.queue, self._reconciler, telemetry, facts=self.facts_for)
        self._synced = False
        self._listed = time.monotonic()
        self._discovery_failures = Failures(_log, "discovery failed", clock=time.monotonic)
        self._discovered = False
        self._namespaces_read_at: dict[str, float] = {}
        # When a service was first reported, until its first plan is in its status.
        self._arrived: dict[ServiceKey, float] = {}
        self._reading_namespaces = asyncio.Lock()
        self._unconfirmed: set[ServiceKey | ObjectKey] = set()
        self._confirmed = False
        self._watch_expired = asyncio.Event()
        telemetry.watch_queue(self.queue, lambda: self._brakes.deletes_stopped)
        telemetry.rollouts_waiting.set_function(lambda: self._rollouts.waiting)

    @property
    def synced(self) -> bool:
        """Whether the initial list is complete, so that services may be reconciled."""
        return self._synced

    @property
    def list_age_seconds(self) -> float:
        """Seconds since the last complete list, or since the start if there was none."""
        return time.monotonic() - self._listed

    # Events -----------------------------------------------------------------------------------

    def on_service_event(self, *, deleted: bool, body: Mapping[str, Any]) -> None:
        """Stores a watch event of a FastAPIService."""
        self._telemetry.events.labels(SERVICE.kind).inc()
        self._unconfirmed.discard(_service_key(body))
        if deleted:
            key = self.store.drop_service(body)
            self.queue.forget(key)
            self._reconciler.forget(key)
            self._arrived.pop(key, None)
        else:
            self._put_service(body)

    def on_child_event(self, kind: Kind, *, deleted: bool, body: Mapping[str, Any]) -> None:
        """Stores a watch event of an owned object."""
        self._telemetry.events.labels(kind.kind).inc()
        key = object_key(kind, body)
        self._unconfirmed.discard(key)
        if deleted:
            self._pod_diagnostics.forget(key)
            child = self.store.child(key)
            if kind is kinds.JOB and child is not None and is_unfinished(child):
                self._orphans.suspect(ServiceKey(key.namespace, child.service))
            self._enqueue_change(self.store.delete_child(key, body))
            for reader in self.store.values.note_gone(key):
                self.queue.add(reader, delay=VALUES_DEBOUNCE_SECONDS)
        else:
            self._put_child(kind, body)
        self._enqueue_disputed()

    def _enqueue_disputed(self) -> None:
        for service in self.store.take_disputed() if self._synced else ():
            self.queue.add(service, delay=HEALTH_DEBOUNCE_SECONDS)

    def on_watch_relisted(self) -> None:
        """Notes that an expired watch listed again: the deletes in between are unknown."""
        if self._confirmed:
            self._watch_expired.set()

    def _put_service(self, body: Mapping[str, Any]) -> None:
        key = _service_key(body)
        is_new = self.store.service(key) is None
        changed = self.store.put_service(body)
        if changed and is_new:
            self._arrived[key] = time.monotonic()
        if changed and self._synced:
            self.queue.add(key, slack=CHANGED_SLACK_SECONDS)

    def _put_child(self, kind: Kind, body: Mapping[str, Any]) -> None:
        self._enqueue_change(self.store.put_child(kind, body))
        # The initial list stores the values as well: otherwise a restart would not know them.
        for reader in self.store.put_values(kind, body):
            if self._synced and self.store.service(reader) is not None:
                self.queue.add(reader, delay=VALUES_DEBOUNCE_SECONDS)

    def _enqueue_change(self, change: Change | None) -> None:
        # The cluster's garbage collector deletes the children of a deleted service.
        if change is None or not self._synced or self.store.service(change.key) is None:
            return
        self.queue.add(change.key, delay=0.0 if change.urgent else HEALTH_DEBOUNCE_SECONDS)

    def enqueue_all(self, namespaces: Container[str] | None = None) -> None:
        """Queues every service, or those of some namespaces."""
        for key in self.store.services if self._synced else ():
            if namespaces is None or key.namespace in namespaces:
                self.queue.add(key, slack=ROUTINE_SLACK_SECONDS)

    # Discovery and lists ----------------------------------------------------------------------

    async def discover(self) -> bool:
        """Discovers what the cluster supports; returns whether the kinds to watch changed.

        If discovery fails, the facts that are already known stay.

        Raises:
            ApiError: The namespaces have never been read. Without their profiles services would
                lose their defaults and ceilings, so that no service is reconciled before.
        """
        namespaces = self._settings.watch_namespaces
        try:
            discovered = await discovery.discover(self._client)
            async with self._reading_namespaces:
                profiles = await discovery.profiles(self._client, namespaces)
                limits = await discovery.limits(self._client, namespaces)
        except (ApiError, KeyError) as error:
            self._discovery_failures.add(error=str(error))
            if not self._discovered and isinstance(error, ApiError):
                raise
            return False
        self._discovered = True
        self._discovery_failures.end()
        before = self.facts
        # Without the right to list LimitRanges, those that are already known stay.
        known = before.limits if limits is None else limits
        self.facts = replace(discovered, profiles=profiles, limits=known)
        changed = _changed_namespaces(before, self.facts)
        if discovered != replace(before, profiles={}, limits={}):
            _log.info("cluster", kubernetes=discovered.kubernetes, optional=sorted(discovered.apis))
            self.enqueue_all()
        elif changed:
            _log.info("profiles or limits of namespaces changed", namespaces=sorted(changed))
            self.enqueue_all(changed)
        return kinds.on_offer(discovered) != kinds.on_offer(before)

    async def discovery_due(self) -> None:
        """Waits until the next discovery; it is early if a service waits for an API."""
        await asyncio.sleep(api_waits.POLL_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.discovery_seconds - api_waits.POLL_SECONDS):
                await self._api_awaited.wait()
        self._api_awaited.clear()

    async def facts_for(self, key: ServiceKey) -> Facts:
        """Returns the facts for a reconciliation; the first one of a service reads its namespace.

        A namespace is often created, labelled with a profile and filled within a minute, so that
        the last discovery knows neither its profile nor its LimitRanges. A volume that is created
        without the profile cannot be changed afterwards.

        Raises:
            ApiError: The namespace could not be read for now; the service is not planned before.
        """
        live = self.store.service(key)
        if live is not None and live.body["status"].get("observedGeneration", -1) < 1:
            arrived = self._arrived.setdefault(key, time.monotonic())
            await self._read_namespace(key.namespace, arrived)
        else:
            self._arrived.pop(key, None)
        return self.facts

    async def _read_namespace(self, namespace: str, arrived: float) -> None:
        """Reads a namespace, or all of them if the operator watches the cluster.

        An earlier read counts if it is fresh and began after the service arrived: a label that was
        set before the service was created is then known.
        """
        is_named = bool(self._settings.watch_namespaces)
        scope = namespace if is_named else ""
        async with self._reading_namespaces:
            read_at = self._namespaces_read_at.get(scope, float("-inf"))
            now = time.monotonic()
            if read_at >= arrived and now - read_at < FRESH_SECONDS:
                return
            names = (namespace,) if is_named else ()
            profiles = await discovery.profiles(self._client, names)
            limits = await discovery.limits(self._client, names)
            self._namespaces_read_at[scope] = now
            before = self.facts

            def merged(known: Mapping[str, _Fact], found: Mapping[str, _Fact]) -> dict[str, _Fact]:
                kept = (item for item in known.items() if is_named and item[0] != namespace)
                return {**dict(kept), **found}

            self.facts = replace(
                before,
                profiles=merged(before.profiles, profiles),
                limits=before.limits if limits is None else merged(before.limits, limits),
            )
            if changed := _changed_namespaces(before, self.facts):
                self.enqueue_all(changed)

    async def sync(self) -> None:
        """Lists all objects, and finds changes that the watches missed.

        The first call is a barrier: no service is reconciled before the store is complete.

        Raises:
            ApiError: A list failed; no object was dropped because of it.
        """
        for namespace in self._settings.watch_namespaces or (None,):
            await _with_retries(self._list_services, namespace)
            if not self._synced:
                await self._orphans.suspect_all(namespace)
            for kind in kinds.on_offer(self.facts):
                await _with_retries(self._list_children, namespace, kind)
        for kind in set(kinds.OWNED) - set(kinds.on_offer(self.facts)):
            # The cluster no longer serves the kind, so all of its objects are gone.
            self.store.missing_from(kind, None, set(), sys.maxsize)
        self._enqueue_disputed()
        self._brakes.sweep()
        self._listed = time.monotonic()
        if not self._synced:
            self._complete_initial_list()
        for key in self.store.recheck_overridden():
            self.queue.add(key, slack=ROUTINE_SLACK_SECONDS)

    def _complete_initial_list(self) -> None:
        for key in self.store.services:
            live = self.store.service(key)
            if live is not None and pending.has_slot(live.body["status"]):
                self._rollouts.restore(key)
        self.store.mark_all_unverified()
        self._synced = True
        self.enqueue_all()
        _log.info("synced", services=len(tuple(self.store.services)))

    async def _list_services(self, namespace: str | None) -> None:
        seen, version = set(), 0
        async for items, at in self._client.pages(SERVICE, namespace):
            version = at
            for body in items:
                seen.add(_service_key(body))
                self._put_service(body)
        for key in self.store.services:
            live = self.store.service(key)
            elsewhere = namespace not in (None, key.namespace)
            if key in seen or elsewhere or live is None or live.version > version:
                continue
            self.on_service_event(deleted=True, body=live.body)

    async def _list_children(self, namespace: str | None, kind: Kind) -> None:
        seen, version = set(), 0
        async for items, at in self._client.pages(kind, namespace, label_selector=WATCHED):
            version = at
            for body in items:
                seen.add(object_key(kind, body))
                self._put_child(kind, body)
        for change in self.store.missing_from(kind, namespace, seen, version):
            if kind is kinds.JOB:
                self._orphans.suspect(change.key)
            self._enqueue_change(change)

    def begin_watching(self) -> None:
        """Notes all objects that the watches must report when they start."""
        self._confirmed = False
        self._unconfirmed = self.store.keys()

    async def confirm(self) -> None:
        """Finds objects that were deleted between our lists and the start of the watches.

        A watch that starts reports the objects that exist, but not those that were just deleted.
        If it reports all known objects in time, no list is needed.
        """
        for pause in CONFIRM_AFTER_SECONDS:
            await asyncio.sleep(pause)
            self._unconfirmed &= self.store.keys()
            if not self._unconfirmed:
                break
            _log.info("listing objects that no watch reported", objects=len(self._unconfirmed))
            try:
                await self.sync()
            except ApiError as error:
                _log.warning("confirming list failed", error=str(error))
        self._confirmed = True

    # Periodic work ----------------------------------------------------------------------------

    async def poll_images(self) -> None:
        """Reads periodically which images the ready pods run."""
        while True:
            await asyncio.sleep(images.POLL_SECONDS)
            for key in await self._images.poll():
                self.queue.add(key, slack=ROUTINE_SLACK_SECONDS)

    async def resync(self) -> None:
        """Lists all objects periodically, and soon after a watch expired and missed deletes."""
        failures = Failures(_log, "resync failed", clock=time.monotonic)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.resync_seconds):
                    await self._watch_expired.wait()
                # When the API server restarts, all watches expire together.
                await asyncio.sleep(WATCH_EXPIRED_DELAY_SECONDS)
            self._watch_expired.clear()
            try:
                await self.sync()
                failures.end()
            except ApiError as error:
                failures.add(error=str(error))


def _changed_namespaces(before: Facts, after: Facts) -> set[str]:
    """Returns the namespaces whose profile or LimitRanges differ."""
    pairs = ((before.profiles, after.profiles), (before.limits, after.limits))
    return {name for old, new in pairs for name in {*old, *new} if old.get(name) != new.get(name)}


def _service_key(body: Mapping[str, Any]) -> ServiceKey:
    return ServiceKey(body["metadata"]["namespace"], body["metadata"]["name"])


async def _with_retries(
    work: Callable[..., Coroutine[None, None, None]], *arguments: object
) -> None:
    """Retries one list of many, so that a single failure does not fail them all.

    Raises:
        ApiError: Each attempt failed, or the error is not temporary.
    """
    for pause in LIST_RETRY_SECONDS:
        try:
            await work(*arguments)
        except ApiError as error:
            if not error.temporary:
                raise
            await asyncio.sleep(max(pause, error.retry_after_seconds))
        else:
            return
    await work(*arguments)
