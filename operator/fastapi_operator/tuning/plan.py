"""The plan: every number of a service, one frozen section a part."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi_operator.api.service import FastAPIService, Spec
from fastapi_operator.problems import Problem
from fastapi_operator.profiles import Profile
from fastapi_operator.tuning.budget import ConnectionBudget
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.exposure import ExposurePlan
from fastapi_operator.tuning.routes import Route


@dataclass(frozen=True)
class ServerPlan:
    """The ASGI server in each app pod.

    Only granian bounds its connections; only a supervisor of workers asks whether they live.
    """

    workers: Decision[int]
    threads: Decision[int]
    concurrency: Decision[int]
    max_in_flight: Decision[int]
    keep_alive_seconds: Decision[int]
    graceful_seconds: Decision[int]
    worker_healthcheck_seconds: Decision[int] | None
    pre_stop_seconds: Decision[int]
    grace_seconds: Decision[int]
    max_connections: Decision[int] | None = None


@dataclass(frozen=True)
class ComputePlan:
    """CPU and memory of each app pod; a CPU limit of 0 is none."""

    cpu_request_millicores: Decision[int]
    cpu_limit_millicores: Decision[int]
    memory_request_bytes: Decision[int]
    memory_limit_bytes: Decision[int]
    native_threads: Decision[int]


@dataclass(frozen=True)
class ScalingPlan:
    """How many app pods; ``autoscaled`` false means min and max are the fixed number."""

    autoscaled: Decision[bool]
    min_replicas: Decision[int]
    max_replicas: Decision[int]
    target_cpu_percent: Decision[int]
    target_in_flight: Decision[int]
    max_surge: Decision[int | str]
    max_unavailable: Decision[int | str]
    scale_up_percent: Decision[int]
    scale_up_pods: Decision[int]
    scale_up_period_seconds: Decision[int]
    scale_down_seconds: Decision[int]
    scale_down_percent: Decision[int]
    scale_down_period_seconds: Decision[int]
    max_disrupted: Decision[int | str]


@dataclass(frozen=True)
class DatabasePlan:
    """What a database grants, whoever runs it; ``service_connections`` are the service's own."""

    max_connections: Decision[int]
    reserved_connections: Decision[int]
    service_connections: Decision[int]
    statement_timeout_seconds: Decision[int]
    idle_in_transaction_seconds: Decision[int]


@dataclass(frozen=True)
class PostgresPlan:
    """A PostgreSQL whose configuration is ours; sizes are those of one instance."""

    instances: Decision[int]
    cpu_millicores: Decision[int]
    memory_bytes: Decision[int]
    storage_bytes: Decision[int]
    shared_buffers_bytes: Decision[int]
    effective_cache_size_bytes: Decision[int]
    maintenance_work_mem_bytes: Decision[int]
    work_mem_bytes: Decision[int]
    worker_processes: Decision[int]
    parallel_workers_per_gather: Decision[int]
    max_wal_size_bytes: Decision[int]
    min_wal_size_bytes: Decision[int]


@dataclass(frozen=True)
class PostgresPodPlan:
    """What a PostgreSQL needs whose pod is ours too."""

    shared_memory_bytes: Decision[int]
    migration_lock_timeout_seconds: Decision[int]
    grace_seconds: Decision[int]


@dataclass(frozen=True)
class MigrationPlan:
    """The Job that changes the schema before a new version serves."""

    deadline_seconds: Decision[int]
    retries: Decision[int]
    cpu_request_millicores: Decision[int]
    memory_limit_bytes: Decision[int]


@dataclass(frozen=True)
class BackupPlan:
    """The dumps of a database that is run here."""

    kept: Decision[int]
    storage_bytes: Decision[int]


@dataclass(frozen=True)
class PoolPlan:
    """The connection pool that each app process opens (SQLAlchemy's terms)."""

    size: Decision[int]
    max_overflow: Decision[int]
    timeout_seconds: Decision[int]
    recycle_seconds: Decision[int]


@dataclass(frozen=True)
class PoolerPlan:
    """PgBouncer; the sizes are those of one instance."""

    instances: Decision[int]
    max_db_connections: Decision[int]
    default_pool_size: Decision[int]
    reserve_pool_size: Decision[int]
    min_pool_size: Decision[int]
    max_client_connections: Decision[int]
    reserve_timeout_seconds: Decision[int]
    query_wait_timeout_seconds: Decision[int]
    connect_timeout_seconds: Decision[int]
    server_idle_seconds: Decision[int]
    server_lifetime_seconds: Decision[int]
    max_prepared_statements: Decision[int]
    cpu_request_millicores: Decision[int]
    memory_limit_bytes: Decision[int]


@dataclass(frozen=True)
class CachePlan:
    """The managed cache; only one that keeps its data has a volume and snapshots."""

    cpu_request_millicores: Decision[int]
    memory_limit_bytes: Decision[int]
    maxmemory_bytes: Decision[int]
    policy: Decision[str]
    max_clients: Decision[int]
    grace_seconds: Decision[int]
    storage_bytes: Decision[int] | None
    snapshot_seconds: Decision[int] | None


@dataclass(frozen=True)
class CachePoolPlan:
    """The connections that each app process opens to the cache, managed or external."""

    max_clients: Decision[int]
    size: Decision[int]
    timeout_seconds: Decision[float]


@dataclass(frozen=True)
class QueuePlan:
    """The managed broker, which logs every change to its volume."""

    cpu_request_millicores: Decision[int]
    memory_limit_bytes: Decision[int]
    maxmemory_bytes: Decision[int]
    policy: Decision[str]
    max_clients: Decision[int]
    grace_seconds: Decision[int]
    storage_bytes: Decision[int]
    fsync: Decision[str]
    log_rewrite_bytes: Decision[int]


@dataclass(frozen=True)
class ProxyPlan:
    """The proxy before the app; what a service does not use is None."""

    replicas: Decision[int]
    cpu_request_millicores: Decision[int]
    memory_bytes: Decision[int]
    worker_processes: Decision[int] | None
    worker_connections: Decision[int] | None
    upstream_keep_alive: Decision[int]
    upstream_keep_alive_seconds: Decision[int]
    upstream_tries: Decision[int]
    upstream_requests: Decision[int] | None
    client_keep_alive_seconds: Decision[int]
    client_keep_alive_min_seconds: Decision[int] | None
    max_body_bytes: Decision[int]
    max_header_bytes: Decision[int]
    body_buffer_bytes: Decision[int] | None
    buffer_bytes: Decision[int] | None
    buffers: Decision[int] | None
    answer_file_bytes: Decision[int] | None
    connect_timeout_seconds: Decision[int]
    read_timeout_seconds: Decision[int]
    client_timeout_seconds: Decision[int]
    send_timeout_seconds: Decision[int] | None
    stream_timeout_seconds: Decision[int] | None
    compression_min_bytes: Decision[int] | None
    cache_bytes: Decision[int] | None
    cache_volume_bytes: Decision[int] | None
    cache_keys_bytes: Decision[int] | None
    cache_idle_seconds: Decision[int] | None
    rate_per_second: Decision[int] | None
    rate_burst: Decision[int] | None
    rate_clients_bytes: Decision[int] | None
    static_max_age_seconds: Decision[int] | None
    static_volume_bytes: Decision[int] | None
    routes: tuple[Route, ...]

    def numbers(self) -> dict[str, int | None]:
        """Each number by its name, as templates want them."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        decided = {name: value for name, value in fields.items() if name != "routes"}
        return {name: value.value if value else None for name, value in decided.items()}


@dataclass(frozen=True)
class ProcessPlan:
    """The pods of one entry of ``spec.background`` or ``spec.schedules``.

    The names of its decisions carry the entry's own: ``background.worker.memory_limit_bytes``.
    A CPU limit of 0 is none.
    """

    name: str
    processes: Decision[int]
    connections: Decision[int]
    cpu_request_millicores: Decision[int]
    cpu_limit_millicores: Decision[int]
    memory_request_bytes: Decision[int]
    memory_limit_bytes: Decision[int]
    native_threads: Decision[int]


@dataclass(frozen=True)
class BackgroundPlan(ProcessPlan):
    """A process that runs beside the app; ``peak_pods`` counts those that a rollout adds."""

    replicas: Decision[int]
    peak_pods: Decision[int]
    graceful_seconds: Decision[int]
    grace_seconds: Decision[int]


@dataclass(frozen=True)
class SchedulePlan(ProcessPlan):
    """A command that runs at set times; ``runs`` are those that may overlap."""

    runs: Decision[int]
    timeout_seconds: Decision[int]
    retries: Decision[int]


@dataclass(frozen=True)
class ObservabilityPlan:
    """What is watched; a number is None where nothing asks for it.

    ``latency_milliseconds`` is the bound that can be measured, within the promised one; CPU and
    memory are those of one exporter. A promise is measured by the ``app``, the ``proxy`` or
    ``nobody``.
    """

    scrape_interval_seconds: Decision[int]
    exporters: Decision[bool]
    exporter_cpu_millicores: Decision[int] | None
    exporter_memory_bytes: Decision[int] | None
    trace_sample_percent: Decision[str] | None
    slo_measured_by: Decision[str] | None
    availability_percent: Decision[str] | None
    latency_milliseconds: Decision[int] | None
    latency_percent: Decision[str] | None


@dataclass(frozen=True)
class Plan:
    """All that was decided for a service; a section is None where the part is not there.

    ``spec`` is what the service says with its profile's defaults and below its ceilings: builders
    and formulas read this one. ``profile`` is the profile, which says nothing where there is none.
    """

    spec: Spec
    profile: Profile
    server: ServerPlan
    compute: ComputePlan
    scaling: ScalingPlan
    database: DatabasePlan | None
    postgres: PostgresPlan | None
    postgres_pod: PostgresPodPlan | None
    backup: BackupPlan | None
    migration: MigrationPlan | None
    pool: PoolPlan | None
    pooler: PoolerPlan | None
    cache: CachePlan | None
    cache_pool: CachePoolPlan | None
    queue: QueuePlan | None
    proxy: ProxyPlan | None
    exposure: ExposurePlan | None
    background: tuple[BackgroundPlan, ...]
    schedules: tuple[SchedulePlan, ...]
    observability: ObservabilityPlan
    budget: ConnectionBudget | None
    problems: tuple[Problem, ...] = ()

    def planned(self, service: FastAPIService) -> FastAPIService:
        """The service as the plan has it: with its profile's defaults and ceilings."""
        return service.model_copy(update={"spec": self.spec})

    def decisions(self) -> Iterator[Decision[Any]]:
        """Every decision, by section, in the order in which they are declared."""
        for section in dataclasses.fields(self):
            value = getattr(self, section.name)
            for part in value if isinstance(value, tuple) else (value,):
                if dataclasses.is_dataclass(part):
                    yield from _decisions_of(part)

    def headline(self) -> tuple[Decision[Any], ...]:
        """The decisions that ``status.tuning`` shows, at most 24."""
        return tuple(decision for decision in self.decisions() if decision.name in _HEADLINE)


def _decisions_of(part: Any) -> Iterator[Decision[Any]]:
    for field in dataclasses.fields(part):
        decision = getattr(part, field.name)
        if isinstance(decision, Decision):
            yield decision


_HEADLINE = frozenset(
    {
        "server.workers",
        "server.threads",
        "server.max_in_flight",
        "server.keep_alive_seconds",
        "compute.cpu_request_millicores",
        "compute.cpu_limit_millicores",
        "compute.memory_limit_bytes",
        "scaling.min_replicas",
        "scaling.max_replicas",
        "database.max_connections",
        "postgres.shared_buffers_bytes",
        "postgres.work_mem_bytes",
        "pool.size",
        "pool.max_overflow",
        "pooler.instances",
        "pooler.max_db_connections",
        "pooler.max_client_connections",
        "cache.maxmemory_bytes",
        "cache_pool.size",
        "queue.maxmemory_bytes",
        "proxy.replicas",
        "proxy.worker_processes",
    }
)
