"""Converts the metrics pages of pods to readings of the judge.

Pages are read every few seconds, and a page of a proxy has hundreds of lines for each version. They
are few metrics with simple labels, which an expression parses ten times as fast as the library of
Prometheus.
"""

import bisect
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from fastapi_operator.judge.counts import BOUNDS_SECONDS, Counts, Version, Versions
from fastapi_operator.judge.ledger import ProxyReading
from fastapi_operator.judge.pods import PodReading

DURATIONS = "fastapi_proxy_version_request_duration_seconds"
FALLBACKS = "fastapi_proxy_version_fallbacks_total"
# The metrics to parse from a page, as prefixes of their names.
PROXY_NAMES = (DURATIONS, FALLBACKS)
_CPU = "fastapi_worker_cpu_seconds_total"
_MEMORY = "fastapi_worker_resident_memory_bytes"
_WORKERS = "fastapi_worker_processes"
_APP_DURATIONS = "http_server_request_duration_seconds"
_REQUESTS = f"{_APP_DURATIONS}_count"
_APP_BUCKETS = f"{_APP_DURATIONS}_bucket"
APP_NAMES = (_CPU, _MEMORY, _WORKERS, _REQUESTS)
# If the app's pods count the requests of their version.
COUNTING_APP_NAMES = (*APP_NAMES, _APP_BUCKETS)
# A name, labels, a value, and perhaps a time.
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})?\s+([^\s{}]+)(?:\s+-?\d+)?")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_STATUS = re.compile(r'http_response_status_code="(\d)')
_ROUTE = re.compile(r'http_route="([^"]*)"')
_BOUND = re.compile(r'\ble="([^"]*)"')
# Up to here, floating-point numbers count exactly.
_MOST = 2.0**53
# What a status counts as, by its first digit.
_COUNTED = {"4": "refused", "5": "errors"}
# How exactly a label of a bucket has to match a bound.
_DIGITS = 6


def proxy_reading(text: str, canary: str) -> ProxyReading:
    """Returns the counts of both versions from the page of a proxy pod, by step.

    Series of other canaries, and with labels that are not understood, are skipped.

    Args:
        text: The page.
        canary: The identity of the canary.

    Raises:
        ValueError: The text is not a metrics page.
    """
    numbers: dict[tuple[int, Version], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for name, found, value in _samples(text, PROXY_NAMES):
        labels = dict(_LABEL.findall(found))
        if labels.get("canary") != canary or not labels.get("step", "").isdigit():
            continue
        try:
            key = int(labels["step"]), Version(labels.get("version", ""))
        except ValueError:
            continue
        counts = numbers[key]
        if name == f"{DURATIONS}_count":
            counts["requests"] += value
            if kind := _COUNTED.get(labels.get("status", "")[:1]):
                counts[kind] += value
        elif name == f"{DURATIONS}_bucket":
            counts[_bucket(labels.get("le", ""))] += value
        elif name == FALLBACKS:
            counts["fallbacks"] += value
    steps = {step for step, _ in numbers}
    return {
        step: Versions(
            _counts(numbers.get((step, Version.STABLE), {})),
            _counts(numbers.get((step, Version.CANARY), {})),
        )
        for step in sorted(steps)
    }


def app_counts(text: str, uncounted_routes: Collection[str] = ()) -> Counts | None:
    """Returns the requests that a pod of the app has served since its start, of one version.

    Its histogram has fewer bounds than the judge, so durations are interpolated between them.

    Args:
        text: The page.
        uncounted_routes: Routes of probes, which are no requests of clients.

    Returns:
        None if the app does not count its requests.

    Raises:
        ValueError: The text is not a metrics page.
    """
    numbers: dict[str, float] = defaultdict(float)
    within: dict[float, float] = defaultdict(float)
    counts_requests = False
    for name, labels, value in _samples(text, (_CPU, _REQUESTS, _APP_BUCKETS)):
        # The runtime shows its CPU also before the first request.
        counts_requests = True
        route = _ROUTE.search(labels)
        if name == _CPU or (route is not None and route[1] in uncounted_routes):
            continue
        if name == _APP_BUCKETS:
            found = _BOUND.search(labels)
            within[float(found[1]) if found is not None else math.inf] += value
            continue
        numbers["requests"] += value
        status = _STATUS.search(labels)
        if status is not None and (kind := _COUNTED.get(status[1])):
            numbers[kind] += value
    if not counts_requests:
        return None
    points = sorted((bound, number) for bound, number in within.items() if bound < math.inf)
    for bound, number in zip(BOUNDS_SECONDS, _interpolated(points), strict=True):
        numbers[_bucket(str(bound))] = number
    return _counts(numbers)


def _interpolated(points: Sequence[tuple[float, float]]) -> Iterator[float]:
    """Yields the requests within each of the judge's bounds; nothing is slower than the last."""
    curve = [(0.0, 0.0), *points]
    for bound in BOUNDS_SECONDS:
        above = bisect.bisect_left(curve, (bound, 0.0))
        if above == len(curve):
            yield curve[-1][1]
            continue
        (before, fewer), (after, more) = curve[above - 1], curve[above]
        yield fewer + (more - fewer) * (bound - before) / (after - before)


def pod_reading(
    text: str | None, *, version: Version, age_seconds: float, restarts: int
) -> PodReading:
    """Returns the figures of a pod of the app.

    Args:
        text: Its page; None if it has none, or could not be read.
        version: The version that it runs.
        age_seconds: The time since it started.
        restarts: Restarts of its app container.

    Raises:
        ValueError: The text is not a metrics page.
    """
    sums: dict[str, float] = defaultdict(float)
    if text is not None:
        for name, _, value in _samples(text, APP_NAMES):
            sums[name] += value
    has_runtime = _CPU in sums
    return PodReading(
        version=version,
        age_seconds=age_seconds,
        restarts=restarts,
        cpu_seconds=sums[_CPU] if has_runtime else None,
        requests=round(sums[_REQUESTS]) if has_runtime else None,
        memory_bytes=sums.get(_MEMORY),
        workers=sums.get(_WORKERS, 1.0),
    )


def _samples(text: str, names: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    """Yields the name, the labels and the value of each sample of some metrics.

    Raises:
        ValueError: A line is not a sample, or has an impossible value.
    """
    for line in text.splitlines():
        if line.startswith(tuple(names)):
            found = _SAMPLE.fullmatch(line)
            # A pod may send any number; these are counts, seconds and bytes.
            if found is None or not 0 <= (value := float(found[3])) <= _MOST:
                raise ValueError(f"not a sample of a metric: {line:.60}")
            yield found[1], found[2] or "", value


def _counts(numbers: Mapping[str, float]) -> Counts:
    requests = round(numbers.get("requests", 0.0))
    within = (numbers.get(_bucket(str(bound)), requests) for bound in BOUNDS_SECONDS)
    return Counts(
        requests=requests,
        errors=round(numbers.get("errors", 0.0)),
        fallbacks=round(numbers.get("fallbacks", 0.0)),
        slower=tuple(max(0, requests - round(observed)) for observed in within),
        refused=round(numbers.get("refused", 0.0)),
    )


def _bucket(bound: str) -> str:
    """Returns a name for a bucket: exporters write 1, 1.0 and 1e+00."""
    try:
        return f"within {round(float(bound), _DIGITS)}"
    except ValueError:
        return "within an unknown bound"
