"""What was seen of one service, as the rules of diagnosis read it: a dataclass a part.

A part that shows nothing is None, and so is a number that this cluster cannot tell: a rule then
does without it, or says nothing.
"""

from dataclasses import dataclass
from typing import Self

from fastapi_operator.observability import bounds
from fastapi_operator.observability.samples import Histogram
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import Plan


@dataclass(frozen=True)
class Planned:
    """What the plan says of the numbers that a rule compares with, or proposes to change."""

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
    """Above which a p95 is slow: what is promised, else far above what the owner declares."""
    promised = plan.observability.latency_milliseconds
    if promised is not None:
        return promised.value / 1000
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
        size: Connections that they may open.
        peak: Most connections in use at once.
        waits: How long checkouts waited, in seconds.
        holds: How long connections were held, in seconds.
        waiting: Checkouts that waited, on average.
        timeouts: Checkouts that gave up.
    """

    size: float
    peak: float
    waits: Histogram
    holds: Histogram
    waiting: float
    timeouts: float


@dataclass(frozen=True)
class Calls:
    """What the app saw of its cache: durations in seconds, and calls that failed."""

    durations: Histogram
    failed: float


@dataclass(frozen=True)
class AppPod:
    """One pod of the app.

    Attributes:
        pod: Its name.
        workers: Worker processes alive.
        requests: Durations of its requests, in seconds.
        in_flight: Requests under way, on average.
        shed: Requests that were turned away with 503.
        cpu: Cores in use by each worker.
        cpu_wait: Share of the time in which a worker could run and was given no CPU.
        throttled: Share of the scheduler's periods in which the pod was throttled.
        lag_p99: Event-loop lag, in seconds.
        late: Share of the time in which the event loop was late.
        threads: Its threads.
        pool: Its database pools; None without.
        cache: Its cache calls; None where it reports none.
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
    """One route of all pods: durations in seconds, and how many answers were 5xx."""

    name: str
    requests: Histogram
    failed: float


@dataclass(frozen=True)
class Pooler:
    """PgBouncer, all instances.

    Attributes:
        waiting: Clients that waited for a server connection, on average.
        max_wait_seconds: The longest wait seen.
        servers: Server connections in use, on average.
        query_seconds: Time that statements took in all.
    """

    waiting: float
    max_wait_seconds: float
    servers: float
    query_seconds: float


@dataclass(frozen=True)
class Database:
    """PostgreSQL.

    Attributes:
        active: Statements under way, on average.
        busy: Those of them that no lock, client or timer kept waiting.
        cpu: Cores in use; None where nobody measures it.
        query_seconds: Time that statements took in all; None before PostgreSQL 14.
    """

    active: float
    busy: float
    cpu: float | None = None
    query_seconds: float | None = None


@dataclass(frozen=True)
class CacheServer:
    """Redis or Valkey; counts are those of the window.

    Attributes:
        up: Share of the readings at which it answered.
        hits: Look-ups that found their key.
        misses: Look-ups that did not.
        evicted: Keys that were thrown out for want of memory.
        expired: Keys whose time was over.
        refused: Writes that were refused for want of memory.
        used_bytes: Memory in use.
        max_bytes: Its bound.
        command_seconds: What a command took on average, in the server itself.
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
        """Share of the look-ups that found their key; 1 where nobody looked."""
        return self.hits / self.lookups if self.lookups else 1.0


@dataclass(frozen=True)
class ProxyLog:
    """What the proxy's log says: requests, 502 among them, and connections that the app closed."""

    requests: int
    bad_gateways: int
    closed_early: int


@dataclass(frozen=True)
class Bursts:
    """How much of the window's events fell into its busiest quarter: 0.25 is even, 1 all at once.

    Attributes:
        database: Checkouts of database connections.
        requests: Requests.
        misses: Look-ups that the cache had to miss; None where it shows nothing.
        peak_per_second: Checkouts each second at their busiest.
    """

    database: float
    requests: float
    misses: float | None
    peak_per_second: float


@dataclass(frozen=True)
class MemoryKill:
    """A pod whose container was ended because it was over its memory limit."""

    pod: str
    restarts: int


@dataclass(frozen=True)
class Signals:
    """All that was seen of one service in a window of so many seconds."""

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

    @property
    def requests(self) -> float:
        """Requests that the app answered."""
        return sum(pod.requests.count for pod in self.app)

    @property
    def failed(self) -> float:
        """Answers with 5xx among them."""
        return sum(route.failed for route in self.routes)
