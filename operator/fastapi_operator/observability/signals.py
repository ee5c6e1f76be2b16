"""The signals of one service, which the rules of ``doctor`` read: one dataclass per part.

A part without metrics is None, and so is a number that this cluster does not provide. A rule then
ignores it, or does not match.
"""

from dataclasses import dataclass
from typing import Self

from fastapi_operator.observability import bounds
from fastapi_operator.observability.samples import Histogram
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import Plan


@dataclass(frozen=True)
class Planned:
    """The planned values that a rule compares with, or proposes to change."""

    workers: int = 1
    threads: int = figures.THREADS_DEFAULT
    cpu_limit_millicores: int = 0
    cpu_request_millicores: int = figures.CPU_REQUEST_MILLICORES_PER_WORKER
    memory_limit_bytes: int = 0
    keep_alive_seconds: int = 0
    proxy_idle_seconds: int = figures.PROXY_UPSTREAM_KEEP_ALIVE_SECONDS
    own_command: bool = False
    database_mode: str | None = None
    database_cores: float = 1.0
    max_connections: int = 0
    cache_mode: str | None = None
    cache_memory_bytes: int = 0
    slow_seconds: float = bounds.SLOW_SECONDS
    failures_allowed: float = 0.001

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """The numbers of a plan."""
        watched, spec = plan.observability, plan.spec
        database, cache = spec.postgres, spec.redis
        return cls(
            workers=plan.server.workers.value,
            threads=plan.server.threads.value,
            cpu_limit_millicores=plan.compute.cpu_limit_millicores.value,
            cpu_request_millicores=plan.compute.cpu_request_millicores.value,
            memory_limit_bytes=plan.compute.memory_limit_bytes.value,
            keep_alive_seconds=plan.server.keep_alive_seconds.value,
            proxy_idle_seconds=plan.proxy.upstream_keep_alive_seconds.value
            if plan.proxy
            else figures.PROXY_UPSTREAM_KEEP_ALIVE_SECONDS,
            own_command=spec.command is not None,
            database_mode=(database.mode or "Managed") if database else None,
            database_cores=plan.postgres.cpu_millicores.value / 1000 if plan.postgres else 1.0,
            max_connections=plan.database.max_connections.value if plan.database else 0,
            cache_mode=(cache.mode or "Managed") if cache else None,
            cache_memory_bytes=plan.cache.memory_limit_bytes.value if plan.cache else 0,
            slow_seconds=_slow(plan),
            failures_allowed=1 - float(watched.availability_percent.value) / 100
            if watched.availability_percent
            else 0.001,
        )


def _slow(plan: Plan) -> float:
    """The bound of a slow p95: the SLO, or else far above the declared p95."""
    objective = plan.observability.latency_milliseconds
    if objective is not None:
        return objective.value / 1000
    declared = plan.spec.traffic.p95_milliseconds if plan.spec.traffic else None
    return bounds.SLOW_SECONDS if declared is None else bounds.SLOW_FACTOR * declared / 1000


@dataclass(frozen=True)
class Threads:
    """The threads of a pod's workers; means over the window."""

    used: float
    allowed: float
    waiting: float


@dataclass(frozen=True)
class Pool:
    """The database connections of a pod's workers.

    Attributes:
        size: Their maximum number.
        peak: The largest number in use at once.
        waits: The waits of checkouts, in seconds.
        holds: The times for which connections were held, in seconds.
        waiting: The mean number of waiting checkouts.
        timeouts: Checkouts that timed out.
    """

    size: float
    peak: float
    waits: Histogram
    holds: Histogram
    waiting: float
    timeouts: float


@dataclass(frozen=True)
class Calls:
    """The cache calls of the app: durations in seconds, and failed calls."""

    durations: Histogram
    failed: float


@dataclass(frozen=True)
class AppPod:
    """One pod of the app.

    Attributes:
        pod: Its name.
        workers: Running worker processes.
        requests: Durations of its requests, in seconds.
        in_flight: The mean number of requests in flight.
        shed: Requests rejected with 503.
        cpu: Cores in use per worker.
        cpu_wait: Share of the time for which a runnable worker waited for a CPU.
        throttled: Share of the CPU periods in which the pod was throttled.
        lag_p99: Event-loop lag, in seconds.
        late: Share of the time for which the event loop was late.
        threads: Its threads.
        pool: Its database pools; None if it has none.
        cache: Its cache calls; None if it reports none.
    """

    pod: str
    workers: float
    requests: Histogram
    in_flight: float
    shed: float
    cpu: float
    lag_p99: float
    late: float
    threads: Threads | None = None
    pool: Pool | None = None
    cache: Calls | None = None
    cpu_wait: float | None = None
    throttled: float | None = None


@dataclass(frozen=True)
class Route:
    """One route of all pods: durations in seconds, and the number of 5xx responses."""

    name: str
    requests: Histogram
    failed: float


@dataclass(frozen=True)
class Pooler:
    """PgBouncer, all instances.

    Attributes:
        waiting: The mean number of clients that wait for a server connection.
        max_wait_seconds: The longest wait.
        servers: The mean number of server connections in use.
        query_seconds: The total time of statements.
    """

    waiting: float
    max_wait_seconds: float
    servers: float
    query_seconds: float


@dataclass(frozen=True)
class Database:
    """PostgreSQL.

    Attributes:
        active: The mean number of executing statements.
        busy: The ones among them that do not wait for a lock, client or timer.
        cpu: Cores in use; None if it is not measured.
        query_seconds: The total time of statements; None before PostgreSQL 14.
    """

    active: float
    busy: float
    cpu: float | None = None
    query_seconds: float | None = None


@dataclass(frozen=True)
class CacheServer:
    """Redis or Valkey; counts are increases in the window.

    Attributes:
        up: Share of the scrapes at which it responded.
        hits: Lookups that found their key.
        misses: Lookups that did not find their key.
        evicted: Keys evicted because memory was full.
        expired: Keys whose time to live had passed.
        refused: Writes rejected because memory was full.
        used_bytes: Memory in use.
        max_bytes: Its limit.
        command_seconds: The mean time of a command in the server.
    """

    up: float
    hits: float
    misses: float
    evicted: float
    expired: float
    refused: float
    used_bytes: float
    max_bytes: float
    command_seconds: float

    @property
    def lookups(self) -> float:
        """Hits and misses."""
        return self.hits + self.misses

    @property
    def hit_ratio(self) -> float:
        """Share of the lookups that found their key; 1 if there were none."""
        return self.hits / self.lookups if self.lookups else 1.0


@dataclass(frozen=True)
class ProxyLog:
    """Counts of the proxy's log: requests, 502 among them, and connections that the app closed."""

    requests: int
    bad_gateways: int
    closed_early: int


@dataclass(frozen=True)
class Bursts:
    """The share of events in the busiest quarter of the window: 0.25 is even, 1 is one burst.

    Attributes:
        database: Checkouts of database connections.
        requests: Requests.
        misses: Misses of the cache; None if it has no metrics.
        peak_per_second: The peak of checkouts per second.
    """

    database: float
    requests: float
    misses: float | None
    peak_per_second: float


@dataclass(frozen=True)
class MemoryKill:
    """A pod with a container that was OOM-killed."""

    pod: str
    restarts: int


@dataclass(frozen=True)
class Signals:
    """All signals of one service in a window of this many seconds.

    Attributes:
        shed_by_proxy: Requests that nginx rejected because all pods had as many as they may.
    """

    seconds: float
    planned: Planned
    app: tuple[AppPod, ...] = ()
    routes: tuple[Route, ...] = ()
    pooler: Pooler | None = None
    database: Database | None = None
    cache: CacheServer | None = None
    proxy: ProxyLog | None = None
    bursts: Bursts | None = None
    memory_kills: tuple[MemoryKill, ...] = ()
    shed_by_proxy: float = 0.0

    @property
    def requests(self) -> float:
        """Requests that the app completed."""
        return sum(pod.requests.count for pod in self.app)

    @property
    def failed(self) -> float:
        """5xx responses among them."""
        return sum(route.failed for route in self.routes)
