"""The loop: events fill the store and the queue, workers take services from it one at a time."""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Container, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import structlog

from fastapi_operator import naming
from fastapi_operator.cluster import discovery, kinds
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import SERVICE, Kind
from fastapi_operator.facts import Facts
from fastapi_operator.reconcile.loop.images import LOOK_SECONDS, Images
from fastapi_operator.reconcile.loop.passes import Next, Passes
from fastapi_operator.reconcile.loop.queue import Queue
from fastapi_operator.reconcile.loop.telemetry import Telemetry
from fastapi_operator.reconcile.observe.identity import Key
from fastapi_operator.reconcile.observe.pod_diagnostics import Ward
from fastapi_operator.reconcile.observe.reading import object_key
from fastapi_operator.reconcile.observe.store import Change, Store
from fastapi_operator.reconcile.plan import pending
from fastapi_operator.reconcile.plan.desired_state import Draw
from fastapi_operator.reconcile.plan.desired_state_cache import Drawer
from fastapi_operator.reconcile.plan.rollouts import Rollouts
from fastapi_operator.reconcile.write.brakes import Brakes
from fastapi_operator.reconcile.write.perform import Performer
from fastapi_operator.resources.desired import ObjectKey
from fastapi_operator.settings import Settings

# Status changes of several children come together; one pass answers them.
HEALTH_DEBOUNCE_SECONDS = 0.2
# Among services that are due, those on their way come first: their objects are still drawn, and
# somebody waits for them. Then come changed ones, then those that are only looked after.
CHANGED_PATIENCE_SECONDS = 5.0
ROUTINE_PATIENCE_SECONDS = 30.0
LIST_PAUSES_SECONDS = (0.2, 1.0, 2.0)
# Watches show everything within a second or two; thousands of objects take longer.
CONFIRM_AFTER_SECONDS = (2.0, 3.0, 5.0, 10.0, 30.0)
EXPIRED_PAUSE_SECONDS = 2.0
WATCHED = f"{naming.WATCHED_LABEL}=true"

_log = structlog.get_logger(__name__)


class Controller:
    """Reconciles all services of the watched namespaces."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        telemetry: Telemetry,
        *,
        make: Draw,
    ) -> None:
        self._client = client
        self._settings = settings
        self._telemetry = telemetry
        self.facts = Facts()
        self.store = Store()
        self.queue = Queue(clock=time.monotonic)
        self._brakes = Brakes(clock=time.monotonic)
        self._ward = Ward(clock=time.monotonic)
        self._rollouts = Rollouts(at_once=settings.rollouts_at_once, wake=self.queue.add)
        self._images = Images(client)
        self._passes = Passes(
            client=client,
            store=self.store,
            drawer=Drawer(settings, make=make),
            performer=Performer(
                client, self.store, self._brakes, wake=self.queue.add, count=telemetry.wrote
            ),
            ward=self._ward,
            rollouts=self._rollouts,
            images=self._images,
            telemetry=telemetry,
            clock=time.monotonic,
            instance=socket.gethostname(),
        )
        self._synced = False
        self._discovered = False
        self._unshown: set[Key | ObjectKey] = set()
        self._confirmed = False
        self._expired = asyncio.Event()
        telemetry.watch_queue(self.queue, lambda: self._brakes.pulled)
        telemetry.rollouts_waiting.set_function(lambda: self._rollouts.waiting)

    @property
    def synced(self) -> bool:
        """Whether the first lists are complete and passes may run."""
        return self._synced

    # What goes in -----------------------------------------------------------------------------

    def service_event(self, *, deleted: bool, body: Mapping[str, Any]) -> None:
        """Takes in a watch event of a FastAPIService."""
        self._telemetry.events.labels(SERVICE.kind).inc()
        self._unshown.discard(Key(body["metadata"]["namespace"], body["metadata"]["name"]))
        if deleted:
            key = self.store.drop_service(body)
            self.queue.forget(key)
            self._passes.forget(key)
        elif self.store.put_service(body) and self._synced:
            key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
            self.queue.add(key, patience=CHANGED_PATIENCE_SECONDS)

    def child_event(self, kind: Kind, *, deleted: bool, body: Mapping[str, Any]) -> None:
        """Takes in a watch event of an owned object."""
        self._telemetry.events.labels(kind.kind).inc()
        key = object_key(kind, body)
        self._unshown.discard(key)
        if deleted:
            self._ward.forget(key)
            self._wake(self.store.end_child(key, body))
        else:
            self._take_in(kind, body)

    def _take_in(self, kind: Kind, body: Mapping[str, Any]) -> None:
        self._wake(self.store.put_child(kind, body))
        for user in self.store.put_values(kind, body):
            self._wake(Change(user, urgent=True))

    def _wake(self, change: Change | None) -> None:
        # Children of a deleted service are collected by the cluster, not repaired.
        if change is None or not self._synced or self.store.service(change.key) is None:
            return
        self.queue.add(change.key, after=0.0 if change.urgent else HEALTH_DEBOUNCE_SECONDS)

    # Lists ------------------------------------------------------------------------------------

    async def discover(self) -> bool:
        """Asks what the cluster offers; answers whether the kinds to watch changed.

        A failed discovery is not an absence: what was known stays.

        Raises:
            ApiError: The profiles of namespaces were never known. Without them services would
                lose their defaults and ceilings, so none is touched before.
        """
        namespaces = self._settings.watch_namespaces
        try:
            offered = await discovery.discover(self._client)
            profiles = await discovery.profiles(self._client, namespaces)
        except (ApiError, KeyError) as error:
            _log.warning("discovery failed", error=str(error))
            if not self._discovered and isinstance(error, ApiError):
                raise
            return False
        self._discovered = True
        before, self.facts = self.facts, replace(offered, profiles=profiles)
        if offered != replace(before, profiles={}):
            _log.info("cluster", kubernetes=offered.kubernetes, optional=sorted(offered.apis))
            self.enqueue_all()
        elif profiles != before.profiles:
            changed = {name for name, _ in profiles.items() ^ before.profiles.items()}
            _log.info("profiles of namespaces changed", namespaces=sorted(changed))
            self.enqueue_all(changed)
        return kinds.on_offer(offered) != kinds.on_offer(before)

    async def sync(self) -> None:
        """Lists everything, and repairs what the watches did not tell.

        The first call is the barrier: no pass runs on a half-filled store.

        Raises:
            ApiError: A list failed; nothing was dropped because of it.
        """
        for namespace in self._settings.watch_namespaces or (None,):
            await _patiently(self._list_services, namespace)
            for kind in kinds.on_offer(self.facts):
                await _patiently(self._list, namespace, kind)
        for kind in set(kinds.OWNED) - set(kinds.on_offer(self.facts)):
            # The cluster dropped the kind, and with it every object of it.
            self.store.missing_from(kind, None, set(), sys.maxsize)
        self._brakes.sweep()
        if not self._synced:
            for key in self.store.services:
                live = self.store.service(key)
                if live is not None and pending.has_turn(live.body["status"]):
                    self._rollouts.resume(key)
            self.store.doubt_all()
            self._synced = True
            self.enqueue_all()
            _log.info("synced", services=len(tuple(self.store.services)))

    def enqueue_all(self, namespaces: Container[str] | None = None) -> None:
        """Wants a pass for every service, or for those of some namespaces."""
        for key in self.store.services if self._synced else ():
            if namespaces is None or key.namespace in namespaces:
                self.queue.add(key, patience=ROUTINE_PATIENCE_SECONDS)

    def watching(self) -> None:
        """Notes, as the watches begin, all that they must show."""
        self._confirmed = False
        self._unshown = self.store.keys()

    async def confirm(self) -> None:
        """Looks for what was deleted between our lists and the watches' own.

        A watch that begins shows what is there, and says nothing of what has just gone. Where
        everything was shown in time nothing is asked.
        """
        for pause in CONFIRM_AFTER_SECONDS:
            await asyncio.sleep(pause)
            self._unshown &= self.store.keys()
            if not self._unshown:
                break
            _log.info("not shown by the watches", objects=len(self._unshown))
            try:
                await self.sync()
            except ApiError as error:
                _log.warning("confirming lists failed", error=str(error))
        self._confirmed = True

    def listed_by_watches(self) -> None:
        """Notes that a watch has listed anew: it had expired, and told of no delete meanwhile."""
        if self._confirmed:
            self._expired.set()

    async def _list_services(self, namespace: str | None) -> None:
        seen, version = set(), 0
        async for items, at in self._client.pages(SERVICE, namespace):
            version = at
            for body in items:
                key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
                seen.add(key)
                if self.store.put_service(body) and self._synced:
                    self.queue.add(key, patience=CHANGED_PATIENCE_SECONDS)
        for key in self.store.services:
            live = self.store.service(key)
            elsewhere = namespace not in (None, key.namespace)
            if key in seen or elsewhere or live is None or live.version > version:
                continue
            self.service_event(deleted=True, body=live.body)

    async def _list(self, namespace: str | None, kind: Kind) -> None:
        seen, version = set(), 0
        async for items, at in self._client.pages(kind, namespace, label_selector=WATCHED):
            version = at
            for body in items:
                seen.add(object_key(kind, body))
                self._take_in(kind, body)
        for change in self.store.missing_from(kind, namespace, seen, version):
            self._wake(change)

    # What comes out ---------------------------------------------------------------------------

    async def work(self) -> None:
        """A worker: runs passes for ever."""
        while True:
            key = await self.queue.get()
            try:
                await self._pass(key)
            finally:
                self.queue.done(key)

    async def look_at_images(self) -> None:
        """Learns from time to time which images ready pods run."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for key in await self._images.look():
                self.queue.add(key, patience=ROUTINE_PATIENCE_SECONDS)

    async def resync(self) -> None:
        """Lists everything from time to time, and soon after a watch expired: it lost deletes."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.resync_seconds):
                    await self._expired.wait()
                # All watches of a restarted API server expire together.
                await asyncio.sleep(EXPIRED_PAUSE_SECONDS)
            self._expired.clear()
            try:
                await self.sync()
            except ApiError as error:
                _log.warning("resync failed", error=str(error))

    async def _pass(self, key: Key) -> None:
        started, outcome = time.monotonic(), "done"
        try:
            outcome = self._after(key, await self._passes.run(key, self.facts))
        except ApiError as error:
            outcome = self._after_error(key, error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Kopf broke, and on its way out cancelled what this pass had started.
            outcome = "retry"
            self.queue.retry(key)
        except Exception:
            # A fault of ours in one service must not end the others; the traceback is the report.
            outcome = "error"
            self.queue.retry(key, at_least=10.0)
            _log.exception("pass broke", service=key.name, namespace=key.namespace)
        finally:
            self._telemetry.passes.labels(outcome).observe(time.monotonic() - started)

    def _after(self, key: Key, coming: Next) -> str:
        """Queues what a pass asked for; answers what became of it, for the metrics."""
        if coming.moved or not coming.failed:
            # Where it came further than before, the next try need not wait longer.
            self.queue.succeeded(key)
        if coming.failed:
            self.queue.retry(key, at_least=coming.at_least)
        elif coming.after is not None:
            self.queue.add(key, after=coming.after)
        return "retry" if coming.failed else "done"

    def _after_error(self, key: Key, error: ApiError) -> str:
        log = _log.bind(service=key.name, namespace=key.namespace, error=str(error))
        if error.status == 404 or error.namespace_is_going:
            # The service went between the event and the write of its status.
            log.info("service is gone")
            return "gone"
        if error.temporary:
            wait = self.queue.retry(key, at_least=error.retry_after_seconds)
            log.warning("pass failed", retry_in_seconds=round(wait, 1))
            return "retry"
        wait = self.queue.retry(key, at_least=60.0)
        log.error("pass refused", retry_in_seconds=round(wait, 1))
        return "refused"


async def _patiently(work: Callable[..., Coroutine[None, None, None]], *arguments: object) -> None:
    """Does one of many lists again where it fails: one bad answer must not spoil them all.

    Raises:
        ApiError: It failed each time, or in a way that does not pass.
    """
    for pause in LIST_PAUSES_SECONDS:
        try:
            await work(*arguments)
        except ApiError as error:
            if not error.temporary:
                raise
            await asyncio.sleep(max(pause, error.retry_after_seconds))
        else:
            return
    await work(*arguments)
