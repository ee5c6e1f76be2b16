"""Watches the memory of all pods of services with ``tuning.leakGuard``, and acts.

A quiet service is read every 20 s, and one whose memory rises every 5 s: a pod of 256 MiB that
loses 1 MiB a second lives for three minutes. Services without the guard cost nothing. The limits
of pods and ``status.leak`` have everything that another process needs to continue.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from fastapi_operator import naming, quantity
from fastapi_operator.api.status import LeakStatus
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import DEPLOYMENT, POD
from fastapi_operator.cluster.metrics_reader import read_urls, target_of
from fastapi_operator.observation import reading
from fastapi_operator.observation.growth import Sample, added
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop import steady
from fastapi_operator.reconcile.observe.identity import ServiceKey
from fastapi_operator.reconcile.observe.reading import LiveService
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.plan.leak_guard import GuardedPod, Raise, Terms, judge_leaks
from fastapi_operator.reconcile.plan.leak_terms import memory_limit, stored_leak
from fastapi_operator.resources.desired import ObjectKey
from fastapi_operator.settings import Settings
from fastapi_operator.tuning import figures

TICK_SECONDS = 1.0
LOOK_SECONDS = 20.0
SOON_SECONDS = 5.0
# A quota or a node may have room again, and rights may be given.
REFUSED_SECONDS = 600.0
SERVICES_AT_ONCE = 8
_METRICS = (reading.REQUESTS, reading.CPU, reading.RESIDENT, reading.WORKERS)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Refusal:
    """A request that the API server refused, and when it is tried again."""

    reason: str
    until: float


@dataclass(slots=True)
class _Watch:
    """The state of a service between two looks.

    Attributes:
        terms: What the service permits.
        due: When it is looked at again, in seconds since 1970.
        samples: The readings of each process, by the uid of its pod and its restarts.
        resizing: Since when a node has not applied a larger limit, by the uid of the pod.
        refused: Limits that were not raised, by the uid of the pod.
        unevictable: Why no pod of it can be evicted; None if that was not refused.
        report: The newest report.
    """

    terms: Terms
    due: float = 0.0
    samples: dict[tuple[str, int], tuple[Sample, ...]] = field(default_factory=dict)
    resizing: dict[str, float] = field(default_factory=dict)
    refused: dict[str, _Refusal] = field(default_factory=dict)
    unevictable: _Refusal | None = None
    report: LeakStatus | None = None


class LeakGuard:
    """Guards the pods of all services whose spec asks for it."""

    def __init__(
        self,
        client: Client,
        store: Store,
        settings: Settings,
        *,
        wake: Callable[[ServiceKey], None],
    ) -> None:
        self._client = client
        self._store = store
        self._wake = wake
        self._watches: dict[ServiceKey, _Watch] = {}
        self.enabled = settings.read_metrics and not client.dry_run

    def note(self, key: ServiceKey, terms: Terms | None) -> None:
        """Begins or continues to guard a service; without terms, ends it."""
        if terms is None or not self.enabled:
            self._watches.pop(key, None)
        elif key in self._watches:
            self._watches[key].terms = terms
        else:
            live = self._store.service(key)
            report = stored_leak(live.body["status"]) if live is not None else None
            self._watches[key] = _Watch(terms, report=report)

    def forget(self, key: ServiceKey) -> None:
        """Drops a deleted service."""
        self._watches.pop(key, None)

    def report(self, key: ServiceKey) -> LeakStatus | None:
        """Returns the newest report about a service; None without one, or without the guard."""
        watch = self._watches.get(key)
        return watch.report if watch is not None else None

    async def run(self) -> None:
        """Looks at the guarded services until it is cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = steady.now()
            due = [key for key, watch in self._watches.items() if watch.due <= now]
            for first in range(0, len(due), SERVICES_AT_ONCE):
                some = due[first : first + SERVICES_AT_ONCE]
                await asyncio.gather(*(self._look_logged(key) for key in some))

    async def _look_logged(self, key: ServiceKey) -> None:
        try:
            await self.look(key)
        except ApiError as error:
            _log.info("cannot guard", service=key.name, namespace=key.namespace, error=str(error))
        except Exception:
            _log.exception("cannot guard", service=key.name, namespace=key.namespace)

    async def look(self, key: ServiceKey) -> None:
        """Reads the memory of a service's pods, and does what is needed."""
        watch, live, now = self._watches.get(key), self._store.service(key), steady.now()
        if watch is None or live is None or live.deleting:
            return
        watch.due = now + LOOK_SECONDS
        terms = self._terms_now(key, watch, now)
        if terms is None:
            return
        pods = await self._read(key, watch, now)
        verdict = judge_leaks(terms, pods, watch.report, now)
        if verdict.soon:
            watch.due = now + SOON_SECONDS
        refused = [step for step in verdict.raises if not await self._resize(key, watch, step, now)]
        if refused:
            # The next look decides without them.
            watch.due = now + SOON_SECONDS
            return
        if verdict.replace is not None and _is_announced(live, verdict.replace):
            await self._evict(key, watch, verdict.replace, now)
            watch.due = now + SOON_SECONDS
        if verdict.report != watch.report:
            watch.report = verdict.report
            watch.due = now + SOON_SECONDS
            self._wake(key)

    def _terms_now(self, key: ServiceKey, watch: _Watch, now: float) -> Terms | None:
        """Returns the terms at this moment; None while pods of an older revision run."""
        app = self._store.child(ObjectKey(DEPLOYMENT.group, DEPLOYMENT.kind, *key))
        found = app.replicas if app is not None else None
        if found is None or found.updated != found.live:
            return None
        watch.refused = {uid: item for uid, item in watch.refused.items() if item.until > now}
        if watch.unevictable is not None and watch.unevictable.until <= now:
            watch.unevictable = None
        return dataclasses.replace(
            watch.terms,
            waits_for="not all pods are ready" if found.available < found.wanted else "",
            unevictable=watch.unevictable.reason if watch.unevictable is not None else "",
        )

    async def _read(self, key: ServiceKey, watch: _Watch, now: float) -> list[GuardedPod]:
        """Lists the pods of a service, and adds a reading of each."""
        selector = naming.label_selector(Part.APP, key.name)
        listed = self._client.pages(POD, key.namespace, label_selector=selector)
        bodies = [body async for items, _ in listed for body in items]
        targets = [(body, target_of(body, Part.APP, steady.clocks())) for body in bodies]
        urls = {target.url: _METRICS for _, target in targets if target and target.url}
        pages = await read_urls(urls)
        resizing = {
            body["metadata"]["uid"]: watch.resizing.get(body["metadata"]["uid"], now)
            for body in bodies
            if (_limit_in_force(body) or 0) < (memory_limit(body["spec"]) or 0)
        }
        samples, pods = {}, []
        for body, target in targets:
            limit = _limit_in_force(body)
            if limit is None or body.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                continue
            process = (body["metadata"]["uid"], target.page.restarts if target else 0)
            known = watch.samples.get(process, ())
            text = pages.get(target.url, (None, ""))[0] if target else None
            sample = _sample(text, now) if text is not None else None
            samples[process] = known if sample is None else added(known, sample)
            refusal = watch.refused.get(process[0])
            pods.append(
                GuardedPod(
                    name=body["metadata"]["name"],
                    uid=process[0],
                    limit_bytes=limit,
                    ready=target is not None and target.page.ready,
                    deleting="deletionTimestamp" in body["metadata"],
                    age_seconds=target.page.age_seconds if target else 0.0,
                    samples=samples[process],
                    refused=refusal.reason if refusal is not None else "",
                    resizing_seconds=now - since if (since := resizing.get(process[0])) else None,
                    is_guaranteed=body.get("status", {}).get("qosClass") == "Guaranteed",
                )
            )
        watch.samples, watch.resizing = samples, resizing
        return pods

    async def _resize(self, key: ServiceKey, watch: _Watch, step: Raise, now: float) -> bool:
        """Raises the limit of a running pod; returns whether the API server accepted it."""
        amount = {"memory": quantity.format_bytes(step.limit_bytes)}
        resources = {"limits": amount}
        if step.pod.is_guaranteed:
            # Its class may not change, so request and limit stay equal.
            resources["requests"] = amount
        try:
            await self._client.resize(
                key.namespace,
                step.pod.name,
                uid=step.pod.uid,
                container=Part.APP.record.container,
                resources=resources,
            )
        except ApiError as error:
            _log.info("cannot resize", pod=step.pod.name, error=str(error))
            if not error.temporary:
                watch.refused[step.pod.uid] = _Refusal(_reason(error), now + REFUSED_SECONDS)
            return False
        _log.info("resized", pod=step.pod.name, namespace=key.namespace, **amount)
        return True

    async def _evict(self, key: ServiceKey, watch: _Watch, pod: GuardedPod, now: float) -> None:
        try:
            await self._client.evict(key.namespace, pod.name, uid=pod.uid)
        except ApiError as error:
            _log.info("cannot evict", pod=pod.name, error=str(error))
            # 404 and 409: it is gone. 429: its PodDisruptionBudget permits no disruption now.
            if not error.temporary and error.status != 404:
                watch.unevictable = _Refusal(_reason(error), now + REFUSED_SECONDS)
            return
        _log.info("evicted", pod=pod.name, namespace=key.namespace)


def _is_announced(live: LiveService, pod: GuardedPod) -> bool:
    """Whether the stored status names the pod, so that another process knows of it."""
    stored = stored_leak(live.body["status"])
    return stored is not None and (stored.state, stored.pod) == ("Replacing", pod.name)


def _limit_in_force(body: Mapping[str, Any]) -> int | None:
    """Returns the limit of the app's container: that of its process, while a resize waits."""
    wanted = memory_limit(body["spec"])
    if wanted is None:
        return None
    states = body.get("status", {}).get("containerStatuses") or ()
    found = memory_limit({"containers": states})
    return wanted if found is None else min(wanted, found)


def _sample(text: str, now: float) -> Sample | None:
    found = reading.read(text, reading.Source(""), now)
    if found is None or not found.get(reading.RESIDENT):
        return None
    supervisor = figures.SUPERVISOR_MEMORY_BYTES if found.workers > 1 else 0
    memory = found.get(reading.RESIDENT) + supervisor
    return Sample(now, memory, found.get(reading.REQUESTS))


def _reason(error: ApiError) -> str:
    return f"the API server refuses it: {error.message}"[:160]
