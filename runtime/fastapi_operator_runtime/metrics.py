"""Every metric of the runtime, and its exposition.

Names follow OpenTelemetry's semantic conventions in Prometheus spelling, so that one dashboard
serves both scraped applications and those that push OTLP. If there are several workers, samples are
in memory-mapped files under `PROMETHEUS_MULTIPROC_DIR`, and any worker can expose all of them.
"""

from __future__ import annotations

import bisect
import collections
import contextlib
import functools
import glob
import os
import re
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import prometheus_client
from prometheus_client import multiprocess

from fastapi_operator_runtime import batches, listener, processes

REQUEST_SECONDS_BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
"""OpenTelemetry's advice for http.server.request.duration, in seconds."""

LAG_SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
POOL_SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

POOL_LABEL = "db_client_connection_pool_name"
READ_TRIES = 5
READ_PAUSE_SECONDS = 0.05
OPENMETRICS = "application/openmetrics-text"
REUSE_FACTOR = 9
"""A page is reused for this multiple of the time that it took: any pod can request it. There are
two formats, so both together take a fifth of the time."""
_LIVE_FILE = re.compile(r"gauge_live\w+_(\d+)\.db$")


class Durations:
    """A histogram of durations, whose observations are added to it in batches.

    Adding one by one costs a lock and a search of the labels for each, and a write to a mapped file
    if there are several workers.
    """

    def __init__(self, histogram: prometheus_client.Histogram) -> None:
        self._histogram = histogram
        self._queue: collections.deque[tuple[tuple[str, ...], float]] = collections.deque()
        batches.watch(self)

    def observe(self, seconds: float, *labels: str) -> None:
        """Queues an observation of the series with these values of labels."""
        self._queue.append((labels, seconds))
        batches.wake()

    def flush(self) -> None:
        """Adds the queued observations to the histogram."""
        series: dict[tuple[str, ...], list[float]] = {}
        with contextlib.suppress(IndexError):  # until the queue is empty
            while True:
                labels, seconds = self._queue.popleft()
                series.setdefault(labels, []).append(seconds)
        for labels, values in series.items():
            # The library has no function that adds several observations.
            child = self._histogram.labels(*labels)
            child._sum.inc(sum(values))
            values.sort()
            below = 0
            for bound, bucket in zip(child._upper_bounds, child._buckets, strict=True):
                begin, below = below, bisect.bisect_right(values, bound, below)
                if below > begin:
                    bucket.inc(below - begin)


class Instruments:
    """The metrics of one worker process. Gauges of dead workers are dropped, counters stay."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self.request_seconds = _durations(
            registry,
            "http_server_request_duration_seconds",
            "Duration of HTTP requests, by method, route template and status.",
            ["http_request_method", "http_route", "http_response_status_code"],
            REQUEST_SECONDS_BUCKETS,
        )
        self.active_requests = prometheus_client.Gauge(
            "http_server_active_requests",
            "Requests in flight.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.shed_requests = prometheus_client.Counter(
            "fastapi_worker_shed_requests",
            "Requests rejected with 503 because they would wait too long, by reason.",
            ["reason"],
            registry=registry,
        )
        self.in_flight_limit = _gauge(
            registry,
            "fastapi_worker_in_flight_limit",
            "Requests in flight above which requests are shed; it follows the load.",
        )
        self.loop_lag_seconds = prometheus_client.Histogram(
            "fastapi_worker_event_loop_lag_seconds",
            "Delay between the requested and the actual wake-up of a sleeping task.",
            buckets=LAG_SECONDS_BUCKETS,
            registry=registry,
        )
        self.loop_stalls = prometheus_client.Counter(
            "fastapi_worker_event_loop_stalls",
            "Times for which the event loop was blocked longer than the stall threshold.",
            registry=registry,
        )
        self.threads_used = _gauge(
            registry,
            "fastapi_worker_threads_used",
            "Threads in use by def endpoints and blocking calls.",
        )
        self.threads_max = _gauge(
            registry, "fastapi_worker_threads_max", "Maximum number of threads."
        )
        self.threads_waiting = _gauge(
            registry, "fastapi_worker_threads_waiting", "Calls that wait for a thread."
        )
        self.resident_bytes = _gauge(
            registry, "fastapi_worker_resident_memory_bytes", "Resident memory of the workers."
        )
        self.workers = _gauge(registry, "fastapi_worker_processes", "Running worker processes.")
        self.cpu_seconds = prometheus_client.Counter(
            "fastapi_worker_cpu_seconds",
            "CPU time used by the workers.",
            registry=registry,
        )
        self.cpu_wait_seconds = prometheus_client.Counter(
            "fastapi_worker_cpu_wait_seconds",
            "Time for which runnable workers waited for a CPU.",
            registry=registry,
        )
        self.pool_connections = prometheus_client.Gauge(
            "db_client_connection_count",
            "Connections of the app's pools, by state: idle or used.",
            [POOL_LABEL, "db_client_connection_state"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.pool_max = prometheus_client.Gauge(
            "db_client_connection_max",
            "Maximum number of connections of the pools.",
            [POOL_LABEL],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.pool_pending = prometheus_client.Gauge(
            "db_client_connection_pending_requests",
            "Checkouts that wait for a connection.",
            [POOL_LABEL],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.pool_timeouts = prometheus_client.Counter(
            "db_client_connection_timeouts",
            "Checkouts that timed out.",
            [POOL_LABEL],
            registry=registry,
        )
        self.pool_wait_seconds = _durations(
            registry,
            "db_client_connection_wait_time_seconds",
            "Time until a checkout had a usable connection.",
            [POOL_LABEL],
            POOL_SECONDS_BUCKETS,
        )
        self.pool_use_seconds = _durations(
            registry,
            "db_client_connection_use_time_seconds",
            "Time between checkout and return.",
            [POOL_LABEL],
            POOL_SECONDS_BUCKETS,
        )
        self.cache_seconds = _durations(
            registry,
            "db_client_operation_duration_seconds",
            "Duration of commands to the cache; error_type is empty if they succeeded.",
            ["db_system_name", "error_type"],
            POOL_SECONDS_BUCKETS,
        )

    def on_shed(self, reason: str) -> None:
        """Counts a request that was shed."""
        self.shed_requests.labels(reason).inc()


def _durations(
    registry: prometheus_client.CollectorRegistry,
    name: str,
    text: str,
    labels: Sequence[str],
    buckets: Sequence[float],
) -> Durations:
    return Durations(
        prometheus_client.Histogram(name, text, labels, buckets=buckets, registry=registry)
    )


def _gauge(
    registry: prometheus_client.CollectorRegistry, name: str, text: str
) -> prometheus_client.Gauge:
    return prometheus_client.Gauge(name, text, multiprocess_mode="livesum", registry=registry)


@functools.lru_cache(maxsize=1)
def instruments() -> Instruments:
    """Returns the process's metrics, which the first call creates.

    If files of an earlier process with the same number remain, they would be read as own gauges.
    Therefore stale files are removed first.
    """
    directory = _directory()
    if directory is not None:
        Path(directory).mkdir(parents=True, exist_ok=True)
        remove_gauges_of_dead_workers(directory)
    # A `_created` series for each metric would add a third to the number of stored series.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    return Instruments(prometheus_client.REGISTRY)


class Exposition:
    """The page of the metrics, rendered at most a fifth of the time, however often it is read."""

    def __init__(self) -> None:
        self._pages: dict[str, tuple[float, listener.Response]] = {}

    def page(self, _query: Mapping[str, list[str]], accept: str) -> listener.Response:
        """Returns the exposition: of all workers of the pod, if they share a directory.

        Args:
            accept: The Accept header of the request.
        """
        # One page for each format, and no other choice of the client: each page is kept.
        wanted = f"{OPENMETRICS}; version=1.0.0" if OPENMETRICS in accept else ""
        encode, content_type = prometheus_client.exposition.choose_encoder(wanted)
        began = time.monotonic()
        until, page = self._pages.get(content_type, (0.0, None))
        if page is not None and began < until:
            return page
        batches.flush()
        page = listener.Response(content_type, _expose(encode))
        ended = time.monotonic()
        self._pages[content_type] = (ended + REUSE_FACTOR * (ended - began), page)
        return page


def _expose(encode: Callable[[prometheus_client.CollectorRegistry], bytes]) -> bytes:
    directory = _directory()
    if directory is None:
        return encode(prometheus_client.REGISTRY)
    remove_gauges_of_dead_workers(directory)
    return _of_all_workers(directory, encode)


def _of_all_workers(
    directory: str, encode: Callable[[prometheus_client.CollectorRegistry], bytes]
) -> bytes:
    """Adds up the workers' files; repeats if a starting worker has not completed its file."""
    for _ in range(READ_TRIES - 1):
        with contextlib.suppress(struct.error, RuntimeError, ValueError):
            return encode(_registry(directory))
        time.sleep(READ_PAUSE_SECONDS)
    return encode(_registry(directory))


def _registry(directory: str) -> prometheus_client.CollectorRegistry:
    registry = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
    return registry


def remove_gauges_of_dead_workers(directory: str) -> None:
    """Removes live gauges if their process has ended, or if another process has its number.

    The client library leaves this to the server, and uvicorn has no hook for it. If a container
    restarts, it finds the directory of its predecessor, with the same few process numbers.
    """
    for path in glob.glob(os.path.join(directory, "gauge_live*.db")):
        match = _LIVE_FILE.search(path)
        # Another worker can have removed it in the meantime.
        with contextlib.suppress(FileNotFoundError):
            if match and not processes.written_by_living(
                int(match.group(1)), os.stat(path).st_mtime
            ):
                os.remove(path)


def _directory() -> str | None:
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR") or None


class ProcessUsage:
    """Updates the worker metrics from the process's own CPU time and memory.

    If there are several workers, the client library has no process metrics. These show the size of
    a worker.
    """

    def __init__(self, metrics: Instruments) -> None:
        self._metrics = metrics
        self._cpu_seconds = 0.0
        self._cpu_wait_seconds = 0.0
        metrics.workers.set(1)

    def update(self) -> None:
        """Reads the present values."""
        used = time.process_time()
        self._metrics.cpu_seconds.inc(used - self._cpu_seconds)
        self._cpu_seconds = used
        with contextlib.suppress(FileNotFoundError):  # no procfs
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self._metrics.resident_bytes.set(pages * os.sysconf("SC_PAGE_SIZE"))
        with contextlib.suppress(OSError):  # a kernel without scheduler statistics
            # The main thread runs the event loop: time on a CPU, time waiting for one.
            waited = int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
            self._metrics.cpu_wait_seconds.inc(max(0.0, waited - self._cpu_wait_seconds))
            self._cpu_wait_seconds = waited
