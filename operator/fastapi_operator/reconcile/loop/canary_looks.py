"""A look at both versions: reads the metrics of their pods, and asks the judge."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from fastapi_operator.cluster.client import Client
from fastapi_operator.cluster.errors import ApiError
from fastapi_operator.cluster.metrics_reader import PodPage, read_pods
from fastapi_operator.judge.counts import Counts, Version, Versions
from fastapi_operator.judge.gain import gain_of
from fastapi_operator.judge.ledger import KNOWN_PAIRS, PAIRS, Ledger
from fastapi_operator.judge.pods import WARM_SECONDS
from fastapi_operator.judge.reading import (
    APP_NAMES,
    COUNTING_APP_NAMES,
    PROXY_NAMES,
    app_counts,
    pod_reading,
    proxy_reading,
)
from fastapi_operator.judge.verdict import P95, Verdict, judge, unreadable
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.loop import steady
from fastapi_operator.reconcile.observe.canary_record import CanaryRecord, Figures, Look
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.reconcile.plan.canary_course import Course
from fastapi_operator.reconcile.plan.target import Target

# The metrics that the judge needs of each part: if the proxy counts versions, or if the app does.
_METRICS = {Part.PROXY: PROXY_NAMES, Part.APP: APP_NAMES, Part.CANARY: APP_NAMES}
_METRICS_OF_APP = {Part.APP: COUNTING_APP_NAMES, Part.CANARY: COUNTING_APP_NAMES}
_VERSIONS = {Part.APP: Version.STABLE, Part.CANARY: Version.CANARY}
# The judge's sentences are short; status shows the first ones.
_SENTENCES = 3

_T = TypeVar("_T")


class MetricsLooks:
    """Looks through the metrics of pods.

    Args:
        client: The connection to the API server.
        enabled: Whether the settings permit to connect to pods.
    """

    def __init__(self, client: Client, *, enabled: bool = True) -> None:
        self._client = client
        self._enabled = enabled

    async def look(self, owner: Owner, target: Target, now: float) -> Look | None:
        """Returns a new look; None if there is nothing to look at."""
        canary = target.canary
        if canary is None or canary.record is None or canary.situation.course is None:
            return None
        record, course = canary.record, canary.situation.course
        if not self._enabled:
            return _unread(record, "the operator's settings have readMetrics: false", now)
        try:
            names = _METRICS if course.divided_by.counts_versions else _METRICS_OF_APP
            pages = await read_pods(
                self._client, owner.namespace, owner.name, names, clocks=steady.clocks()
            )
        except ApiError as error:
            return _unread(record, f"the operator cannot list the pods: {error.message}", now)
        plan = target.tried or target.state.plan
        compute = plan.compute if plan is not None else None
        limit = compute.memory_limit_bytes.value if compute is not None else None
        ledger, problems = record_pages(record, course, pages, now, memory_limit_bytes=limit)
        verdict = unreadable(problems) if problems else judge(ledger, course.limits)
        look = look_of(ledger, verdict, now)
        if not record.trial:
            return look
        pairs = PAIRS if course.divided_by.counts_versions else KNOWN_PAIRS
        return dataclasses.replace(look, gain=gain_of(ledger, pairs))


def _unread(record: CanaryRecord, reason: str, now: float) -> Look:
    """Returns the look before, without a verdict."""
    verdict = unreadable((reason,))
    return dataclasses.replace(
        record.look,
        action=verdict.action,
        evidence=_evidence(verdict),
        at=int(now),
        lacks_requests=False,
    )


def record_pages(
    record: CanaryRecord,
    course: Course,
    pages: Iterable[PodPage],
    now: float,
    *,
    memory_limit_bytes: float | None,
) -> tuple[Ledger, tuple[str, ...]]:
    """Returns the ledger after a look, and why nothing could be counted; empty if it could.

    Args:
        record: The record, with the ledger before.
        course: The steps of the canary.
        pages: The metrics of the pods.
        now: The time in seconds since 1970.
        memory_limit_bytes: The memory limit of a pod of the app; None if it has none.
    """
    found = [page for page in pages if page.part is not Part.CANARY or page.canary == record.id]
    proxies = [page for page in found if page.part is Part.PROXY]
    apps = [page for page in found if page.part in _VERSIONS]
    counters: dict[str, Any]
    problems: tuple[str, ...]
    if course.divided_by.counts_versions:
        counters = {
            "proxies": _parsed(proxies, lambda page: proxy_reading(page.text or "", record.id))
        }
        problems = () if counters["proxies"] else (_unread_proxies(proxies),)
    else:
        counters = {"apps": _counted_by_apps(apps, course.probed_routes)}
        problems = tuple(_uncounted(apps, counters["apps"]))
    young = [page.age_seconds for page in apps if page.part is Part.CANARY]
    # If no pod is known, its age is at least that of the step.
    begun = now - record.since
    warming = min(young, default=begun) < WARM_SECONDS or begun < WARM_SECONDS
    ledger = _ledger_of(record).record(
        at=now,
        step=record.step,
        pods=_parsed(
            apps,
            lambda page: pod_reading(
                page.text,
                version=_VERSIONS[page.part],
                age_seconds=page.age_seconds,
                restarts=page.restarts,
            ),
            with_missing=True,
        ),
        warming=warming,
        memory_limit_bytes=memory_limit_bytes,
        **counters,
    )
    return ledger, problems


def _unread_proxies(pages: Iterable[PodPage]) -> str:
    why = next((page.problem for page in pages if page.problem), "no proxy pod runs")
    return f"the operator cannot read the proxy's metrics: {why}"


def _counted_by_apps(
    pages: Iterable[PodPage], probed_routes: Collection[str]
) -> Mapping[str, Versions]:
    """Returns the requests that each pod of the app has counted, as those of its version."""
    pages = tuple(pages)
    counts = _parsed(pages, lambda page: app_counts(page.text or "", probed_routes))
    found = {}
    for page in pages:
        if (of_pod := counts.get(page.name)) is not None:
            is_canary = page.part is Part.CANARY
            found[page.name] = Versions(canary=of_pod) if is_canary else Versions(stable=of_pod)
    return found


def _uncounted(pages: Iterable[PodPage], counted: Mapping[str, Versions]) -> Iterator[str]:
    """Yields why the requests of a version cannot be counted."""
    pages = tuple(pages)
    for part, version in _VERSIONS.items():
        of_version = [page for page in pages if page.part is part]
        if any(page.name in counted for page in of_version):
            continue
        missing = "it has no metrics of requests" if of_version else "no pod of it runs"
        why = next((page.problem for page in of_version if page.problem), missing)
        yield (
            f"requests of the {version} version are not counted: {why}; install "
            "fastapi-operator-runtime in both versions"
        )


def _ledger_of(record: CanaryRecord) -> Ledger:
    """Returns the stored ledger; a new one if it cannot be continued.

    Its form may be that of another version of the operator. Nothing is advanced for it: the new one
    needs the requests of a step again.
    """
    try:
        ledger = Ledger.parse(record.look.ledger)
    except ValueError:
        return Ledger.new(record.id)
    return ledger if ledger.canary == record.id else Ledger.new(record.id)


def look_of(ledger: Ledger, verdict: Verdict, now: float) -> Look:
    """Returns a look from the judge's ledger and verdict."""
    return Look(
        action=verdict.action,
        evidence=_evidence(verdict),
        at=int(now),
        canary=_figures(ledger.total.canary),
        stable=_figures(ledger.total.stable),
        ledger=ledger.dump(),
        lacks_requests=verdict.lacks_requests,
    )


def _evidence(verdict: Verdict) -> str:
    return "; ".join(verdict.evidence[:_SENTENCES])


def _parsed(
    pages: Iterable[PodPage], parse: Callable[[PodPage], _T], *, with_missing: bool = False
) -> Mapping[str, _T]:
    """Returns the readings of the pages, without pages that have no metrics."""
    found = {}
    for page in pages:
        if page.text is None and not with_missing:
            continue
        try:
            found[page.name] = parse(page)
        except ValueError:
            continue
    return found


def _figures(counts: Counts) -> Figures:
    p95 = counts.quantile(P95)
    return Figures(
        requests=counts.requests,
        errors=counts.errors,
        p95_milliseconds=None if p95 is None else round(1000 * p95),
    )
