"""Observes running services: one pod of each every five minutes, at a constant cost.

A few proxy pods are read at the same time, for the requests that they reject.

Services are spread over the five minutes, and over the hour after which each is written, so that
neither pods nor the API server see bursts. Pods are listed only if the Deployment changed since,
and once an hour. A restart of the operator loses the readings since the last write, at most an
hour of it.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from fastapi_operator.api.parse import parse_service
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.api.status import RecommendationStatus
from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.kinds import DEPLOYMENT
from fastapi_operator.cluster.metrics_reader import PAGES_AT_ONCE, PodTarget, find_pods, read_urls
from fastapi_operator.facts import Facts
from fastapi_operator.observation import reading, rejections
from fastapi_operator.observation.hours import NOTHING, Hours, between
from fastapi_operator.observation.reading import Reading, Source
from fastapi_operator.observation.rejections import Overload
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop import steady
from fastapi_operator.reconcile.loop.overloads import Overloads
from fastapi_operator.reconcile.loop.telemetry import Telemetry
from fastapi_operator.reconcile.observe.identity import Owner, ServiceKey
from fastapi_operator.reconcile.observe.measurements_record import MeasurementsRecord, record_key
from fastapi_operator.reconcile.observe.observed import Child
from fastapi_operator.reconcile.observe.reading import LiveService
from fastapi_operator.reconcile.observe.store import Store
from fastapi_operator.reconcile.observe.tuning_record import TuningRecord
from fastapi_operator.reconcile.plan.conditions import OVERLOADED
from fastapi_operator.reconcile.plan.recommendations import (
    next_recommendations,
    stored_recommendations,
)
from fastapi_operator.reconcile.plan.tuning_step import next_step
from fastapi_operator.reconcile.plan.tuning_trial import Proposal
from fastapi_operator.reconcile.write.measurements_writer import MeasurementsWriter
from fastapi_operator.reconcile.write.outcome import BlockedError, RefusedError
from fastapi_operator.resources.desired import ObjectKey
from fastapi_operator.settings import Settings
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.automatic import is_automatic
from fastapi_operator.tuning.profile import with_profile
from fastapi_operator.views.recommendation import advise

LOOK_SECONDS = 300.0
WRITE_SECONDS = 3600.0
TICK_SECONDS = 5.0
# With a faster pace, services are looked at more often, but no more often than this.
_TICK_SECONDS_MIN = 1.0
# Caches fill and code is compiled after a start, so it is not typical.
WARM_SECONDS = 120.0
# Each hour another one of these pods is read.
PODS_LISTED = 8
# After so many failures in a row, a service is read once an hour.
FAILURES_MAX = 3
_OFF = "Disabled"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Watch:
    """The state of a service between two looks.

    Attributes:
        slot: The number of its hour, whose end is the time to write.
        deployment: The version of its Deployment when its pods were listed; 0 before.
        source: The pod that is read; None without one.
        url: The URL of its page.
        before: The last reading.
        pending: The sums that are not yet written.
        failures: Looks without a reading since the last one.
    """

    slot: int
    deployment: int = 0
    source: Source | None = None
    url: str = ""
    before: Reading | None = None
    pending: Hours = NOTHING
    failures: int = 0

    def forget_pod(self) -> None:
        """Chooses a pod again at the next look."""
        self.deployment, self.source, self.url, self.before = 0, None, "", None


class Observer:
    """Observes the services of an operator, and keeps their newest recommendations."""

    def __init__(
        self,
        client: Client,
        store: Store,
        settings: Settings,
        telemetry: Telemetry,
        *,
        facts: Callable[[], Facts],
        wake: Callable[[ServiceKey], None],
    ) -> None:
        self._client = client
        self._store = store
        self._settings = settings
        self._telemetry = telemetry
        self._facts = facts
        self._wake = wake
        self._pace = settings.measurement_pace
        self._writer = MeasurementsWriter(client, store, self._pace)
        self._overloads = Overloads(client, store)
        self._watches: dict[ServiceKey, _Watch] = {}
        self._recommendations: dict[ServiceKey, tuple[RecommendationStatus, ...]] = {}
        self._proposals: dict[ServiceKey, Proposal] = {}

    @property
    def enabled(self) -> bool:
        """Whether services are observed."""
        return self._settings.read_metrics and not self._client.dry_run

    def recommendations(self, key: ServiceKey) -> tuple[RecommendationStatus, ...] | None:
        """Returns the recommendations of a service; None if they are those of its status."""
        return self._recommendations.get(key) if self._settings.read_metrics else ()

    def proposal(self, key: ServiceKey) -> Proposal | None:
        """Returns the step to try next, from the newest measurements; None without one."""
        return self._proposals.get(key)

    def overload(self, key: ServiceKey) -> Overload | None:
        """Returns who rejects requests of a service; None if the stored condition is in force."""
        if not self._settings.read_metrics:
            return Overload()
        return self._overloads.find(key, steady.now())

    def forget(self, key: ServiceKey) -> None:
        """Drops a deleted service."""
        self._watches.pop(key, None)
        self._recommendations.pop(key, None)
        self._proposals.pop(key, None)
        self._overloads.forget(key)

    async def run(self) -> None:
        """Looks at each service once every five minutes, until it is cancelled."""
        last = steady.now()
        while True:
            fastest = max(_TICK_SECONDS_MIN, LOOK_SECONDS / self._pace)
            await asyncio.sleep(min(TICK_SECONDS, fastest))
            now = steady.now()
            due = [
                key
                for key in self._store.services
                if _is_due(key, last * self._pace, now * self._pace)
            ]
            last = now
            for first in range(0, len(due), PAGES_AT_ONCE):
                await self.look(due[first : first + PAGES_AT_ONCE])

    async def look(self, keys: Sequence[ServiceKey]) -> None:
        """Reads pods of some services, and writes the summaries that are due."""
        found: dict[str, ServiceKey] = {}
        proxies: dict[ServiceKey, tuple[str, ...]] = {}
        for key in keys:
            with _logged(key):
                if url := await self._url(key):
                    found[url] = key
            with _logged(key):
                if (watch := self._watches.get(key)) is not None:
                    now = steady.now()
                    is_new_hour = watch.slot != self._slot(key, now)
                    proxies[key] = await self._overloads.urls(key, now, is_new_hour=is_new_hour)
        wanted = dict.fromkeys(found, reading.NAMES)
        wanted |= dict.fromkeys(
            (url for urls in proxies.values() for url in urls), rejections.NAMES
        )
        pages = {url: text for url, (text, _) in (await read_urls(wanted)).items()}
        for url, key in found.items():
            with _logged(key):
                self._take(key, pages[url], steady.now())
        for key in proxies:
            with _logged(key):
                self._overloads.take_proxies(key, pages, steady.now())
                self._report_overload(key)
        for key in keys:
            with _logged(key):
                await self._end_hour(key, steady.now())

    async def _url(self, key: ServiceKey) -> str:
        """Returns the URL of the page to read; empty if there is none."""
        live = self._store.service(key)
        if live is None or live.deleting:
            self.forget(key)
            return ""
        spec = live.body["spec"]
        if (spec.get("tuning") or {}).get("mode") == _OFF or spec.get("suspend"):
            await self._stop(live, off=not spec.get("suspend"))
            return ""
        now = steady.now()
        watch = self._watches.setdefault(key, _Watch(self._slot(key, now)))
        app = self._app(key)
        if app is None or not _is_settled(app):
            return ""
        is_new_hour = watch.slot != self._slot(key, now)
        may_list = watch.failures < FAILURES_MAX or is_new_hour
        if may_list and (watch.deployment != app.version or is_new_hour):
            await self._choose(live, watch, app, now)
        return watch.url

    def _app(self, key: ServiceKey) -> Child | None:
        return self._store.child(ObjectKey(DEPLOYMENT.group, DEPLOYMENT.kind, *key))

    async def _stop(self, live: LiveService, *, off: bool) -> None:
        """Stops to observe a service; deletes its measurements if it is not to be measured."""
        self.forget(live.key)
        child = self._store.child(record_key(Owner(*live.key, live.uid)))
        if off and child is not None and child.owner_uid == live.uid and not child.deleting:
            await self._writer.delete(child)

    async def _choose(self, live: LiveService, watch: _Watch, app: Child, now: float) -> None:
        """Lists the pods of a service, and keeps to the one before or chooses another."""
        service, _ = parse_service(live.body)
        if service is not None:
            tuning = with_profile(service, self._settings, self._facts()).spec.tuning
            if tuning is not None and tuning.mode == _OFF:
                await self._stop(live, off=True)
                return
        clocks = steady.clocks()
        listed = await find_pods(
            self._client, *live.key, Part.APP, clocks=clocks, limit=PODS_LISTED
        )
        pods = [
            target
            for target in listed
            if target.url
            and target.page.ready
            and target.page.age_seconds * self._pace >= WARM_SECONDS
        ]
        if not pods:
            self._fail(watch, "NoPod")
            return
        slot = self._slot(live.key, now)
        same = [target for target in pods if watch.source and target.page.name == watch.source.pod]
        chosen = same[0] if same and watch.slot == slot else pods[slot % len(pods)]
        source = _source(chosen, now)
        if watch.source is not None and watch.source.version != source.version:
            # The sums are of another version of the app.
            watch.pending = NOTHING
        if watch.source is None or watch.source.pod != source.pod:
            watch.before = None
        watch.deployment, watch.source, watch.url = app.version, source, chosen.url

    def _take(self, key: ServiceKey, text: str | None, now: float) -> None:
        """Adds a page to the sums of a service."""
        watch = self._watches.get(key)
        if watch is None or watch.source is None:
            return
        found = reading.read(text, watch.source, now) if text is not None else None
        if found is None:
            self._fail(watch, "Unreadable")
            return
        watch.failures = 0
        gained = self._gained(key, watch, found)
        if watch.before is not None and gained is not None:
            self._overloads.take_processes(key, watch.before, found)
        watch.before = found
        if gained is not None:
            watch.pending += gained

    def _report_overload(self, key: ServiceKey) -> None:
        """Reconciles a service if its condition is another one now, or has newer counts."""
        found, live = self.overload(key), self._store.service(key)
        if found is None or live is None:
            return
        conditions = live.body["status"].get("conditions") or ()
        stored = next((item for item in conditions if item.get("type") == OVERLOADED), None)
        is_new = found.state != (stored or {"status": "Unknown"}).get("status")
        if is_new or found.state == "True":
            self._wake(key)

    async def _end_hour(self, key: ServiceKey, now: float) -> None:
        """Writes the sums of a service's hour, once it has ended."""
        watch, live, slot = self._watches.get(key), self._store.service(key), self._slot(key, now)
        if watch is None or live is None or watch.slot == slot:
            return
        if watch.pending:
            await self._write(watch, live, now)
        watch.slot = slot

    def _gained(self, key: ServiceKey, watch: _Watch, found: Reading) -> Hours | None:
        if watch.before is None:
            self._telemetry.observed("First")
            return None
        app = self._app(key)
        pods = app.replicas.available if app is not None and app.replicas is not None else 1
        gained = between(watch.before, found, pods=max(1, pods), pace=self._pace)
        self._telemetry.observed("Restarted" if gained is None else "Read")
        return gained

    def _fail(self, watch: _Watch, outcome: str) -> None:
        self._telemetry.observed(outcome)
        watch.failures += 1
        watch.forget_pod()

    async def _write(self, watch: _Watch, live: LiveService, now: float) -> None:
        owner = Owner(live.key.namespace, live.key.name, live.uid)
        try:
            record = await self._writer.add(watch.pending, owner, now)
        except RefusedError as error:
            _log.warning("cannot write measurements", service=owner.name, error=str(error.refusal))
            return
        except BlockedError:
            # It is of a former service of this name.
            return
        watch.pending = NOTHING
        self._compare(live, record, int(now))

    def _compare(self, live: LiveService, record: MeasurementsRecord, now: int) -> None:
        """Derives the recommendations of new measurements, if there are enough data."""
        service, _ = parse_service(live.body)
        measured, seconds = record.measured, record.hours.span_seconds
        if service is None or seconds < figures.OBSERVED_SECONDS_MIN or not measured.enough():
            return
        facts, is_tuned = self._facts(), self._is_automatic(service)
        tuning = (self._store.observed(live.key).tuning(live.uid) if is_tuned else None) or (
            TuningRecord()
        )
        before = stored_recommendations(live.body["status"])
        advice = advise(service, self._settings, facts, measured, tuning.measurements)
        after = next_recommendations(before, advice, measured, seconds=seconds)
        self._recommendations[live.key] = after
        step = None
        if is_tuned:
            step = next_step(
                service, self._settings, facts, tuning, measured, seconds=seconds, now=now
            )
        self._proposals.pop(live.key, None)
        if step is not None:
            self._proposals[live.key] = Proposal(step, tuning)
        if after != before or step is not None:
            self._wake(live.key)

    def _slot(self, key: ServiceKey, now: float) -> int:
        """Returns the number of the hour of a service, which begins at a time of its own."""
        return int((now * self._pace + _phase(key) % WRITE_SECONDS) // WRITE_SECONDS)

    def _is_automatic(self, service: FastAPIService) -> bool:
        return is_automatic(with_profile(service, self._settings, self._facts()).spec)


@contextmanager
def _logged(key: ServiceKey) -> Iterator[None]:
    """Logs errors about one service, so that the others are still observed."""
    try:
        yield
    except ApiError as error:
        _log.info("cannot observe", service=key.name, namespace=key.namespace, error=str(error))
    except Exception:
        _log.exception("cannot observe", service=key.name, namespace=key.namespace)


def _is_settled(app: Child) -> bool:
    """Whether all pods of a Deployment are of its newest revision."""
    pods = app.replicas
    return pods is not None and pods.available > 0 and pods.updated == pods.live


def _source(target: PodTarget, now: float) -> Source:
    page = target.page
    return Source(
        pod=page.name,
        version=page.version,
        restarts=page.restarts,
        started_at=now - page.age_seconds,
        start_seconds=page.start_seconds,
    )


def _phase(key: ServiceKey) -> int:
    """Returns a number of a service that is spread evenly."""
    return zlib.crc32("/".join(key).encode())


def _is_due(key: ServiceKey, last: float, now: float) -> bool:
    """Whether a service's moment to be read is between two times."""
    one, two = ((at + _phase(key) % WRITE_SECONDS) // LOOK_SECONDS for at in (last, now))
    return one != two
