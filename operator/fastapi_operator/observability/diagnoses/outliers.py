"""Outliers among routes and pods, reported if no rule explains them."""

import statistics
from collections.abc import Iterator

from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.samples import NOTHING
from fastapi_operator.observability.signals import AppPod, Signals
from fastapi_operator.observability.units import milliseconds, percent
from fastapi_operator.tuning import figures

UNKNOWN = "unknown"
# The number of routes to name; a dashboard shows the others.
_ROUTES = 5


def find(signals: Signals) -> Diagnosis | None:
    """The diagnosis ``unknown`` with all outliers; None if there are none."""
    found = dict(
        item
        for look in (_failing_routes, _slow_routes, _slow_pods, _late_loops, _full)
        for item in look(signals)
    )
    if not found:
        return None
    return Diagnosis(
        rule=UNKNOWN,
        diagnosis="requests are slow or fail, and no rule explains why",
        change="start with these signals; look at traces, or run `kubectl fastapi profile`",
        signals=found,
        effect=_slower(signals) + _failed(signals),
    )


def _failing_routes(signals: Signals) -> Iterator[tuple[str, str]]:
    allowed = signals.planned.failures_allowed * signals.requests
    if signals.failed < figures.SLO_FAILURES_MIN or signals.failed <= allowed:
        return
    worst = sorted(signals.routes, key=lambda route: -route.failed)
    for route in worst[:_ROUTES]:
        if route.failed:
            yield (
                f"5xx of {route.name}",
                f"{route.failed:.0f} of {route.requests.count:.0f} requests "
                f"({percent(route.failed / route.requests.count)})",
            )


def _slow_routes(signals: Signals) -> Iterator[tuple[str, str]]:
    bound = signals.planned.slow_seconds
    slow = [
        (quantile, route)
        for route in signals.routes
        if route.requests.count >= bounds.REQUESTS_MIN
        and (quantile := route.requests.quantile(0.95)) > bound
    ]
    for quantile, route in sorted(slow, key=lambda found: -found[0])[:_ROUTES]:
        yield f"p95 of {route.name}", f"{milliseconds(quantile)}, above {milliseconds(bound)}"


def _slow_pods(signals: Signals) -> Iterator[tuple[str, str]]:
    p95 = {pod.pod: _p95(pod) for pod in signals.app if pod.requests.count >= bounds.REQUESTS_MIN}
    for pod, seconds in p95.items():
        others = [value for name, value in p95.items() if name != pod]
        if not others:
            return
        usual = statistics.median(others)
        if seconds > max(bounds.POD_SECONDS, bounds.POD_FACTOR * usual):
            yield f"p95 of pod {pod}", f"{milliseconds(seconds)}, others {milliseconds(usual)}"


def _late_loops(signals: Signals) -> Iterator[tuple[str, str]]:
    for pod in signals.app:
        if pod.lag_p99 > bounds.LOOP_LAG_BLOCKED_SECONDS:
            yield f"event loop lag of pod {pod.pod}, p99", milliseconds(pod.lag_p99)


def _full(signals: Signals) -> Iterator[tuple[str, str]]:
    for pod in signals.app:
        if pod.threads is not None and pod.threads.waiting > bounds.THREADS_WAITING:
            yield f"calls waiting for a thread of pod {pod.pod}", f"{pod.threads.waiting:.1f}"
        if pod.pool is not None and pod.pool.timeouts:
            yield f"checkouts that timed out in pod {pod.pod}", f"{pod.pool.timeouts:.0f}"
    if signals.proxy is not None and signals.proxy.bad_gateways >= bounds.BAD_GATEWAYS_MIN:
        yield "502 of the proxy", f"{signals.proxy.bad_gateways} of {signals.proxy.requests}"


def _p95(pod: AppPod) -> float:
    return pod.requests.quantile(0.95)


def _slower(signals: Signals) -> float:
    """The mean number of requests in flight; the slow ones are among them."""
    return sum((pod.requests for pod in signals.app), NOTHING).total / max(signals.seconds, 1.0)


def _failed(signals: Signals) -> float:
    return signals.failed * figures.PROXY_READ_TIMEOUT_SECONDS / max(signals.seconds, 1.0)
