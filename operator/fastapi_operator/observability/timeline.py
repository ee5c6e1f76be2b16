"""The signals of a service over time, from the windows of its pods.

The pods need not be read at the same times: the increase of a counter is spread evenly over the
time in which it was counted.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi_operator.observability.metrics import IN_FLIGHT
from fastapi_operator.observability.readings import REQUESTS
from fastapi_operator.observability.samples import NOTHING, Window
from fastapi_operator.parts import Part
from fastapi_operator.tuning.plan import Plan

_STATUS = "http_response_status_code"
_LAG = "fastapi_worker_event_loop_lag_seconds"
_LIMIT = "fastapi_worker_in_flight_limit"
_SHED = "fastapi_worker_shed_requests_total"
_CPU = "fastapi_worker_cpu_seconds_total"
_THREADS = ("fastapi_worker_threads_used", "fastapi_worker_threads_max")
_POOL = ("db_client_connection_count", "db_client_connection_max")
_SERVERS = "pgbouncer_pools_server_active_connections"
_WAITING = "pgbouncer_pools_client_waiting_connections"
_ACTIVITY = "pg_stat_activity_count"
_HITS, _MISSES = "redis_keyspace_hits_total", "redis_keyspace_misses_total"

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Course:
    """A number over time; None where it was not measured.

    Attributes:
        label: The counted quantity.
        values: The values, at equal distances.
        failure: Whether it counts failures.
    """

    label: str
    values: Values
    failure: bool = False


@dataclass(frozen=True)
class Chart:
    """Numbers of one unit over time.

    Attributes:
        key: Its name.
        title: The caption.
        unit: The unit of the values.
        courses: The numbers.
        bound: A planned value, with which they are compared.
        bound_label: The name of the planned value.
    """

    key: str
    title: str
    unit: str
    courses: tuple[Course, ...]
    bound: float | None = None
    bound_label: str = ""


@dataclass(frozen=True)
class Timeline:
    """The windows of a part's pods, on one grid of equal steps.

    Attributes:
        windows: The windows.
        began: The time of the first scrape.
        seconds: The time to the last one.
        count: The number of steps.
    """

    windows: Sequence[Window]
    began: float = field(kw_only=True)
    seconds: float = field(kw_only=True)
    count: int = field(kw_only=True)

    def having(self, name: str) -> "Timeline":
        """Returns the pods that expose a metric."""
        found = [window for window in self.windows if window.has(name)]
        return Timeline(found, began=self.began, seconds=self.seconds, count=self.count)

    def rate(self, name: str, **wanted: str) -> Values:
        """The increase of a counter per second, of all pods together."""
        length = self.seconds / self.count
        totals: list[float | None] = [None] * self.count
        for window in self.windows:
            gained, covered = [0.0] * self.count, [0.0] * self.count
            steps = zip(itertools.pairwise(window.times), window.steps(name, **wanted), strict=True)
            for (begin, end), gain in steps:
                for index in range(self._step(begin), self._step(end) + 1):
                    left = self.began + index * length
                    shared = max(0.0, min(end, left + length) - max(begin, left))
                    gained[index] += gain * shared / (end - begin)
                    covered[index] += shared
            for index, seconds in enumerate(covered):
                # Less than a tenth of a step is the edge of another pod's readings.
                if seconds > length / 10:
                    totals[index] = (totals[index] or 0.0) + gained[index] / seconds
        return tuple(totals)

    def level(self, name: str, **wanted: str) -> Values:
        """A gauge, summed over the pods that were read in a step."""
        totals: list[float | None] = [None] * self.count
        for window in self.windows:
            read: dict[int, list[float]] = {}
            for at, value in zip(window.times, window.levels(name, **wanted), strict=True):
                read.setdefault(self._step(at), []).append(value)
            for index, values in read.items():
                totals[index] = (totals[index] or 0.0) + sum(values) / len(values)
        return tuple(totals)

    def quantile(self, share: float, name: str, factor: float = 1.0) -> Values:
        """A quantile of a histogram of all pods; None where nothing was observed."""
        merged = [NOTHING] * self.count
        for window in self.windows:
            steps = zip(itertools.pairwise(window.times), window.histograms(name), strict=True)
            for (begin, end), observed in steps:
                index = self._step((begin + end) / 2)
                merged[index] = merged[index] + observed
        return tuple(factor * one.quantile(share) if one.count else None for one in merged)

    def failures(self) -> Values:
        """The 5xx responses per second."""
        codes = {
            code
            for window in self.windows
            for code in window.values_of(f"{REQUESTS}_count", _STATUS)
            if code.startswith("5")
        }
        rates = [self.rate(f"{REQUESTS}_count", **{_STATUS: code}) for code in sorted(codes)]
        return tuple(map(_sum, zip(*rates, strict=True))) or (0.0,) * self.count

    def _step(self, at: float) -> int:
        return min(int((at - self.began) * self.count / self.seconds), self.count - 1)


def _sum(values: Iterable[float | None]) -> float:
    return sum(value or 0.0 for value in values)


def charts(windows: Mapping[Part, Sequence[Window]], plan: Plan) -> tuple[Chart, ...]:
    """Returns the charts of the metrics that the pods expose.

    Args:
        windows: The windows of each part's pods.
        plan: The numbers of the service.
    """
    known = [window for found in windows.values() for window in found]
    if not known:
        return ()
    began = min(window.times[0] for window in known)
    seconds = max(window.times[-1] for window in known) - began
    count = max(len(window.times) for window in known) - 1

    def of(part: Part, name: str) -> Timeline:
        lines = Timeline(windows.get(part, ()), began=began, seconds=seconds, count=count)
        return lines.having(name)

    found = (
        *_requests(of(Part.APP, f"{REQUESTS}_count")),
        *_app(of(Part.APP, f"{_LAG}_count"), plan),
        *_pool(of(Part.APP, _POOL[1])),
        *_pooler(of(Part.POOLER, _WAITING), plan),
        *_database(of(Part.DATABASE, _ACTIVITY), plan),
        *_cache(of(Part.CACHE, _HITS)),
    )
    return tuple(chart for chart in found if any(_measured(chart)))


def _measured(chart: Chart) -> Iterable[bool]:
    return (value is not None for course in chart.courses for value in course.values)


def _requests(app: Timeline) -> Iterable[Chart]:
    if not app.windows:
        return
    all_, failed = app.rate(f"{REQUESTS}_count"), app.failures()
    yield Chart(
        "requests",
        "Requests",
        "per second",
        (Course("all", all_), Course("5xx", failed, failure=True)),
    )
    yield Chart(
        "latency",
        "Duration of requests",
        "ms",
        (
            Course("95th percentile", app.quantile(0.95, REQUESTS, 1000)),
            Course("median", app.quantile(0.5, REQUESTS, 1000)),
        ),
    )


def _app(app: Timeline, plan: Plan) -> Iterable[Chart]:
    if not app.windows:
        return
    yield Chart(
        "in-flight",
        "Requests in flight",
        "requests",
        (
            Course("in flight", app.level(IN_FLIGHT)),
            Course("limit", app.having(_LIMIT).level(_LIMIT)),
        )
        if app.having(_LIMIT).windows
        else (Course("in flight", app.level(IN_FLIGHT)),),
    )
    yield Chart(
        "shed",
        "Shed requests",
        "per second",
        (Course("503 before work began", app.rate(_SHED), failure=True),),
    )
    yield Chart(
        "lag",
        "Event loop lag",
        "ms",
        (Course("99th percentile", app.quantile(0.99, _LAG, 1000)),),
    )
    request = plan.compute.cpu_request_millicores.value / 1000
    yield Chart(
        "cpu",
        "CPU of the app",
        "cores",
        (Course("used", app.rate(_CPU)),),
        bound=request * len(app.windows) or None,
        bound_label=f"requested by {len(app.windows)} pods",
    )
    used, allowed = (app.level(name) for name in _THREADS)
    yield Chart(
        "threads",
        "Threads",
        "threads",
        (Course("in use", used),),
        bound=max((value or 0.0 for value in allowed), default=0.0) or None,
        bound_label="allowed",
    )


def _pool(app: Timeline) -> Iterable[Chart]:
    if not app.windows:
        return
    used, size = _POOL
    yield Chart(
        "pool",
        "Connections of the app's pools",
        "connections",
        (Course("in use", app.level(used, db_client_connection_state="used")),),
        bound=max((value or 0.0 for value in app.level(size)), default=0.0) or None,
        bound_label="size of all pools",
    )


def _pooler(pooler: Timeline, plan: Plan) -> Iterable[Chart]:
    if not pooler.windows or plan.pooler is None:
        return
    yield Chart(
        "pooler",
        "PgBouncer",
        "connections",
        (
            Course("busy servers", pooler.level(_SERVERS)),
            Course("waiting clients", pooler.level(_WAITING), failure=True),
        ),
        bound=float(plan.pooler.max_db_connections.value * plan.pooler.instances.value),
        bound_label="max_db_connections of all instances",
    )


def _database(database: Timeline, plan: Plan) -> Iterable[Chart]:
    if not database.windows:
        return
    bound = float(plan.database.max_connections.value) if plan.database else None
    yield Chart(
        "database",
        "PostgreSQL",
        "connections",
        (
            Course("open", database.level(_ACTIVITY)),
            Course("executing", database.level(_ACTIVITY, state="active")),
        ),
        bound=bound,
        bound_label="max_connections",
    )


def _cache(cache: Timeline) -> Iterable[Chart]:
    if not cache.windows:
        return
    yield Chart(
        "cache",
        "Lookups in the cache",
        "per second",
        (Course("hits", cache.rate(_HITS)), Course("misses", cache.rate(_MISSES))),
    )
