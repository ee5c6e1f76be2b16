"""The plan: every number of a service, one frozen section a part."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi_operator.api.service import FastAPIService, Spec
from fastapi_operator.parts import Part
from fastapi_operator.problems import Problem
from fastapi_operator.profiles import Profile
from fastapi_operator.tuning.budget import ConnectionBudget
from fastapi_operator.tuning.decision import Decision
from fastapi_operator.tuning.exposure import EntryPlan, ExposurePlan

if TYPE_CHECKING:
    from fastapi_operator.tuning.canary import CanaryPlan
    from fastapi_operator.tuning.gateway import GatewayPlan
    from fastapi_operator.tuning.proxy import ProxyPlan


class ServerCore(NamedTuple):
    """The numbers of the ASGI server that depend on no other part, as ``ServerPlan`` has them."""

    workers: Decision[int]
    concurrency: Decision[int]
    max_in_flight: Decision[int]
    keep_alive_seconds: Decision[int]
    graceful_seconds: Decision[int]
    pre_stop_seconds: Decision[int]
    grace_seconds: Decision[int]


@dataclass(frozen=True, kw_only=True)
class ServerPlan:
    """The ASGI server in each app pod.

    Only granian bounds its connections; only a supervisor checks whether its workers respond.
    """

    workers: Decision[int]
    threads: Decision[int]
    concurrency: Decision[int]
    max_in_flight: Decision[int]
    min_in_flight: Decision[int]
    keep_alive_seconds: Decision[int]
    graceful_seconds: Decision[int]
    worker_healthcheck_seconds: Decision[int] | None = None
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
    """The number of app pods; if ``autoscaled`` is false, min and max are the fixed number."""

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
    """The connections that a database grants.

    ``service_connections`` are those of the pooler or the pools, and ``direct_connections`` those
    that bypass the pooler.
    """

    max_connections: Decision[int]
    reserved_connections: Decision[int]
    direct_connections: Decision[int]
    service_connections: Decision[int]
    statement_timeout_seconds: Decision[int]
    idle_in_transaction_seconds: Decision[int]


@dataclass(frozen=True)
class PostgresPlan:
    """A PostgreSQL that the operator configures; sizes are those of one instance."""

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
    """The pod of a PostgreSQL that the operator runs."""

    shared_memory_bytes: Decision[int]
    grace_seconds: Decision[int]


@dataclass(frozen=True)
class MigrationPlan:
    """The Job that changes the schema before a new version serves."""

    connections: Decision[int]
    deadline_seconds: Decision[int]
    lock_timeout_seconds: Decision[int]
    cpu_limit_millicores: Decision[int]
    cpu_request_millicores: Decision[int]
    memory_limit_bytes: Decision[int]
    memory_request_bytes: Decision[int]


@dataclass(frozen=True)
class BackupPlan:
    """The dumps of a database that the operator runs."""

    kept: Decision[int]
    cpu_request_millicores: Decision[int]
    memory_limit_bytes: Decision[int]
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


@dataclass(frozen=True, kw_only=True)
class CachePlan:
    """The managed cache; only a persistent one has a volume and snapshots."""

    cpu_request_millicores: Decision[int]
    memory_limit_bytes: Decision[int]
    maxmemory_bytes: Decision[int]
    policy: Decision[str]
    max_clients: Decision[int]
    grace_seconds: Decision[int]
    storage_bytes: Decision[int] | None = None
    snapshot_seconds: Decision[int] | None = None


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
    """A process that runs beside the app; ``peak_pods`` counts those that a rollout adds.

    With autoscaling, ``replicas`` is the smallest number of pods; without it, its numbers are None.
    """

    replicas: Decision[int]
    peak_pods: Decision[int]
    graceful_seconds: Decision[int]
    grace_seconds: Decision[int]
    max_replicas: Decision[int] | None = None
    tasks_per_replica: Decision[int] | None = None
    scale_down_seconds: Decision[int] | None = None


@dataclass(frozen=True)
class SchedulePlan(ProcessPlan):
    """A command that runs at set times; ``runs`` are those that may overlap."""

    runs: Decision[int]
    timeout_seconds: Decision[int]
    retries: Decision[int]


@dataclass(frozen=True)
class PreflightPlan:
    """The Job that imports the app of a new image."""

    deadline_seconds: Decision[int]
    import_seconds: Decision[int]
    cpu_request_millicores: Decision[int]
    memory_limit_bytes: Decision[int]
    memory_request_bytes: Decision[int]


@dataclass(frozen=True)
class LeakGuardPlan:
    """What is done about a pod whose memory grows to its limit.

    Attributes:
        automatic: Whether pods are resized and replaced, and not only reported.
        resizes: Whether their memory limit may be raised before.
        memory_most_bytes: The largest memory limit of a running pod.
    """

    automatic: bool
    resizes: bool
    memory_most_bytes: Decision[int]


@dataclass(frozen=True, kw_only=True)
class ObservabilityPlan:
    """Metrics, traces and the service level objective; numbers of unused features are None.

    ``latency_milliseconds`` is the largest bound within the promised one that can be measured. CPU
    and memory are those of one exporter. The ``app``, the ``proxy`` or ``nobody`` measures the
    objective.
    """

    scrape_interval_seconds: Decision[int]
    exporters: Decision[bool]
    exporter_cpu_millicores: Decision[int] | None = None
    exporter_memory_bytes: Decision[int] | None = None
    trace_sample_percent: Decision[str] | None = None
    slo_measured_by: Decision[str] | None = None
    availability_percent: Decision[str] | None = None
    latency_milliseconds: Decision[int] | None = None
    latency_percent: Decision[str] | None = None


@dataclass(frozen=True)
class Plan:
    """All decisions for a service; the section of an absent part is None.

    ``spec`` is the service's spec with the defaults of its profile, and within its ceilings:
    builders and formulas read this one. ``profile`` is empty if the service has none.
    """

    spec: Spec
    profile: Profile
    server: ServerPlan
    compute: ComputePlan
    scaling: ScalingPlan
    canary: "CanaryPlan | None"
    database: DatabasePlan | None
    postgres: PostgresPlan | None
    postgres_pod: PostgresPodPlan | None
    backup: BackupPlan | None
    preflight: PreflightPlan | None
    leak_guard: LeakGuardPlan | None
    migration: MigrationPlan | None
    pool: PoolPlan | None
    pooler: PoolerPlan | None
    cache: CachePlan | None
    cache_pool: CachePoolPlan | None
    queue: QueuePlan | None
    proxy: "ProxyPlan | None"
    exposure: ExposurePlan | None
    gateway: "GatewayPlan | None"
    background: tuple[BackgroundPlan, ...]
    schedules: tuple[SchedulePlan, ...]
    observability: ObservabilityPlan
    budget: ConnectionBudget | None
    problems: tuple[Problem, ...] = ()

    @property
    def parts_with_pods(self) -> frozenset[Part]:
        """The parts that have pods."""
        return frozenset(
            part for part in Part if part.record.pods and getattr(self, part.record.pods)
        )

    @property
    def entries(self) -> tuple[EntryPlan, ...]:
        """The further entries."""
        return self.exposure.entries if self.exposure is not None else ()

    def planned(self, service: FastAPIService) -> FastAPIService:
        """Returns the service with the spec of the plan."""
        return service.model_copy(update={"spec": self.spec})

    def decisions(self) -> Iterator[Decision[Any]]:
        """Yields every decision, by section, in the order of the fields."""
        for section in dataclasses.fields(self):
            value = getattr(self, section.name)
            for part in value if isinstance(value, tuple) else (value,):
                if dataclasses.is_dataclass(part):
                    yield from _decisions_of(part)

    def headline(self) -> tuple[Decision[Any], ...]:
        """Returns the decisions that ``status.tuning`` shows, at most 24."""
        return tuple(decision for decision in self.decisions() if decision.number.headline)


def _decisions_of(part: Any) -> Iterator[Decision[Any]]:
    for field in dataclasses.fields(part):
        decision = getattr(part, field.name)
        if isinstance(decision, Decision):
            yield decision
