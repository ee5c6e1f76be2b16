"""One metrics page of a pod of the app, as the sums that are kept of it.

A page has a line for each route, status and bucket. Only sums over these labels are needed, so
no labels are parsed: that takes a tenth of the time of a parser of the format.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from fastapi_operator.tuning.figures import REQUEST_BUCKETS_MILLISECONDS

# The upper bounds of the runtime's histogram of requests, in seconds.
BOUNDS_SECONDS = tuple(bound / 1000 for bound in REQUEST_BUCKETS_MILLISECONDS)
# A page comes from a pod that users control: larger values are not plausible.
MOST = 1e15

REQUESTS = "http_server_request_duration_seconds_count"
CPU = "fastapi_worker_cpu_seconds_total"
CPU_WAIT = "fastapi_worker_cpu_wait_seconds_total"
SHED = "fastapi_worker_shed_requests_total"
HOLD = "db_client_connection_use_time_seconds_sum"
WAIT = "db_client_connection_wait_time_seconds_sum"
CHECKOUTS = "db_client_connection_wait_time_seconds_count"
COUNTERS = (REQUESTS, CPU, CPU_WAIT, SHED, HOLD, WAIT, CHECKOUTS)

IN_FLIGHT = "http_server_active_requests"
THREADS = "fastapi_worker_threads_used"
THREADS_WAITING = "fastapi_worker_threads_waiting"
RESIDENT = "fastapi_worker_resident_memory_bytes"
WORKERS = "fastapi_worker_processes"
POOL_USED = "db_client_connection_count"
POOL_SIZE = "db_client_connection_max"
_GAUGES = (IN_FLIGHT, THREADS, THREADS_WAITING, RESIDENT, WORKERS, POOL_USED, POOL_SIZE)

_BUCKET = "http_server_request_duration_seconds_bucket"
_USED = 'db_client_connection_state="used"'
# The metrics to read from a page.
NAMES: Collection[str] = (*COUNTERS, *_GAUGES, _BUCKET)
_KNOWN = frozenset(NAMES)
_BOUNDS: Mapping[float, int] = {bound: place for place, bound in enumerate(BOUNDS_SECONDS)}


@dataclass(frozen=True, slots=True)
class Source:
    """The pod that a reading is of.

    Attributes:
        pod: Its name.
        version: The hash of its template.
        restarts: Restarts of its containers.
        started_at: When it was started, in seconds since 1970.
        start_seconds: How long it took to become ready; None if that is not known.
    """

    pod: str
    version: str = ""
    restarts: int = 0
    started_at: float = 0.0
    start_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The sums of a page.

    Attributes:
        source: The pod.
        at: When it was read, in seconds since 1970.
        values: Counters and gauges by name; an absent one is 0.
        buckets: Requests that took at most each bound.
    """

    source: Source
    at: float
    values: Mapping[str, float] = field(default_factory=dict)
    buckets: tuple[float, ...] = (0.0,) * len(BOUNDS_SECONDS)

    def get(self, name: str) -> float:
        """Returns a counter or a gauge."""
        return self.values.get(name, 0.0)

    @property
    def workers(self) -> float:
        """Its worker processes, at least one."""
        return max(1.0, self.get(WORKERS))


def read(text: str, source: Source, at: float) -> Reading | None:
    """Returns the sums of a page; None if it is not the runtime's.

    Lines that are not metrics in the text format, and values that are not plausible, are skipped.
    """
    values: dict[str, float] = {}
    buckets = [0.0] * len(BOUNDS_SECONDS)
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name not in _KNOWN:
            continue
        value = plausible(line.rpartition(" ")[2])
        if name == _BUCKET:
            place = _BOUNDS.get(plausible(line.partition('le="')[2].partition('"')[0]))
            if place is not None:
                buckets[place] += value
        elif name != POOL_USED or _USED in line:
            values[name] = values.get(name, 0.0) + value
    if CPU not in values:
        return None
    return Reading(source, at, values, tuple(buckets))


def plausible(text: str) -> float:
    """Returns the number of a line; 0 if it is none, or not plausible."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and 0 <= value <= MOST else 0.0
