"""A PostgreSQL whose configuration is ours: its own CPU and memory decide all its sizes."""

import math
from typing import NamedTuple

from fastapi_operator import quantity
from fastapi_operator.api.postgres import CloudNativePG, Postgres
from fastapi_operator.api.storage import Storage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.compute import amounts
from fastapi_operator.tuning.decision import Because, Decision, decide, fixed, overridden
from fastapi_operator.tuning.plan import DatabasePlan, PostgresPlan, PostgresPodPlan


class ServerSize(NamedTuple):
    """What the database's pod gets; everything about it follows."""

    cpu_millicores: Decision[int]
    memory_bytes: Decision[int]
    storage_bytes: Decision[int]


def server_size(postgres: Postgres) -> ServerSize:
    """CPU and memory of the database's pod, and its volume."""
    given = amounts(postgres.resources)
    storage = (postgres.storage or Storage()).size
    return ServerSize(
        cpu_millicores=decide(
            "postgres.cpu_millicores",
            _cpu,
            unit="",
            override=overridden(given.cpu_limit, "spec.postgres.resources.limits.cpu")
            or overridden(given.cpu_request, "spec.postgres.resources.requests.cpu"),
            effect=effects.OBJECT_RESTART,
        ),
        memory_bytes=decide(
            "postgres.memory_bytes",
            _memory,
            unit="",
            override=overridden(given.memory_limit, "spec.postgres.resources.limits.memory")
            or overridden(given.memory_request, "spec.postgres.resources.requests.memory"),
            effect=effects.OBJECT_RESTART,
        ),
        storage_bytes=decide(
            "postgres.storage_bytes",
            _storage,
            unit="",
            override=overridden(
                None if storage is None else quantity.size_bytes(storage),
                "spec.postgres.storage.size",
            ),
            effect=effects.OBJECT_NONE,
        ),
    )


def postgres_plan(postgres: Postgres, size: ServerSize, database: DatabasePlan) -> PostgresPlan:
    """The memory and processes of PostgreSQL (pgtune's formulas for type "web")."""
    shared_buffers = decide(
        "postgres.shared_buffers_bytes",
        _shared_buffers,
        unit="",
        memory_bytes=size.memory_bytes,
        effect=effects.SERVER_RESTART,
    )
    worker_processes = decide(
        "postgres.worker_processes",
        _worker_processes,
        unit="processes",
        cpu_millicores=size.cpu_millicores,
        effect=effects.SERVER_RESTART,
    )
    max_wal_size = decide(
        "postgres.max_wal_size_bytes",
        _max_wal_size,
        unit="",
        storage_bytes=size.storage_bytes,
        effect=effects.SERVER_RELOAD,
    )
    replicated = postgres.mode == "CloudNativePG"
    given = (postgres.cloud_native_pg or CloudNativePG()).instances
    return PostgresPlan(
        instances=decide(
            "postgres.instances",
            _replicated_instances if replicated else _instance,
            unit="pods",
            override=overridden(given, "spec.postgres.cloudNativePG.instances"),
            effect=effects.OBJECT_NONE,
        ),
        cpu_millicores=size.cpu_millicores,
        memory_bytes=size.memory_bytes,
        storage_bytes=size.storage_bytes,
        shared_buffers_bytes=shared_buffers,
        effective_cache_size_bytes=decide(
            "postgres.effective_cache_size_bytes",
            _effective_cache_size,
            unit="",
            memory_bytes=size.memory_bytes,
            effect=effects.SERVER_RELOAD,
        ),
        maintenance_work_mem_bytes=decide(
            "postgres.maintenance_work_mem_bytes",
            _maintenance_work_mem,
            unit="",
            memory_bytes=size.memory_bytes,
            effect=effects.SERVER_RELOAD,
        ),
        work_mem_bytes=decide(
            "postgres.work_mem_bytes",
            _work_mem,
            unit="",
            memory_bytes=size.memory_bytes,
            shared_buffers_bytes=shared_buffers,
            max_connections=database.max_connections,
            worker_processes=worker_processes,
            effect=effects.SERVER_RELOAD,
        ),
        worker_processes=worker_processes,
        parallel_workers_per_gather=decide(
            "postgres.parallel_workers_per_gather",
            _parallel_workers,
            unit="processes",
            cpu_millicores=size.cpu_millicores,
            effect=effects.SERVER_RELOAD,
        ),
        max_wal_size_bytes=max_wal_size,
        min_wal_size_bytes=decide(
            "postgres.min_wal_size_bytes",
            _min_wal_size,
            unit="",
            max_wal_size_bytes=max_wal_size,
            effect=effects.SERVER_RELOAD,
        ),
    )


def postgres_pod_plan() -> PostgresPodPlan:
    """What only a pod of ours needs; CloudNativePG has its own."""
    return PostgresPodPlan(
        shared_memory_bytes=fixed(
            "postgres_pod.shared_memory_bytes",
            figures.DATABASE_SHARED_MEMORY_BYTES,
            "what processes of a parallel query share, out of the pod's memory; a container has "
            "64Mi by itself, and such a query then fails",
            unit="",
            effect=effects.OBJECT_RESTART,
        ),
        migration_lock_timeout_seconds=fixed(
            "postgres_pod.migration_lock_timeout_seconds",
            figures.MIGRATION_LOCK_TIMEOUT_SECONDS,
            "a migration that waits longer for a lock gives up and is tried again, since every "
            "query behind it waits as well",
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
        grace_seconds=fixed(
            "postgres_pod.grace_seconds",
            figures.DATABASE_GRACE_SECONDS,
            "a stop writes one checkpoint; killed in between, the next start replays the log",
            unit="seconds",
            effect=effects.OBJECT_RESTART,
        ),
    )


def _storage() -> Because[int]:
    return Because(
        figures.DATABASE_STORAGE_BYTES,
        "room to begin with; spec.postgres.storage.size lets it grow, it never shrinks",
    )


def _instance() -> Because[int]:
    return Because(1, "one server on one volume; mode: CloudNativePG runs several")


def _replicated_instances() -> Because[int]:
    return Because(
        figures.REPLICATED_INSTANCES,
        "one may be lost while another takes over and a third still follows",
    )


def _cpu() -> Because[int]:
    return Because(figures.DATABASE_CPU_MILLICORES, "one core serves a small database")


def _memory() -> Because[int]:
    return Because(figures.DATABASE_MEMORY_BYTES, "enough for a small database's hot pages")


def _shared_buffers(*, memory_bytes: int) -> Because[int]:
    return Because(
        _megabytes(memory_bytes * figures.SHARED_BUFFERS_SHARE), "a quarter of {memory_bytes}"
    )


def _effective_cache_size(*, memory_bytes: int) -> Because[int]:
    return Because(
        _megabytes(memory_bytes * figures.EFFECTIVE_CACHE_SHARE),
        "three quarters of {memory_bytes}: what the planner may expect to be cached",
    )


def _maintenance_work_mem(*, memory_bytes: int) -> Because[int]:
    wanted = _megabytes(memory_bytes * figures.MAINTENANCE_SHARE)
    return Because(
        min(wanted, figures.MAINTENANCE_MAX_BYTES), "a sixteenth of {memory_bytes}, 8Gi at most"
    )


def _work_mem(
    *,
    memory_bytes: int,
    shared_buffers_bytes: int,
    max_connections: int,
    worker_processes: int,
) -> Because[int]:
    share = (memory_bytes - shared_buffers_bytes) / (
        (max_connections + worker_processes) * figures.WORK_MEMORY_DIVISOR
    )
    return Because(
        max(_megabytes(share), figures.WORK_MEMORY_MIN_BYTES),
        "what {memory_bytes} leave beside the shared buffers, over three sorts in each of "
        "{max_connections} connections and {worker_processes} workers; at least 4Mi",
    )


def _worker_processes(*, cpu_millicores: int) -> Because[int]:
    cores = math.ceil(cpu_millicores / 1000)
    if cores < 4:
        return Because(
            figures.WORKER_PROCESSES_DEFAULT, "PostgreSQL's default, for fewer than four cores"
        )
    return Because(cores, "one for each of {cpu_millicores}")


def _parallel_workers(*, cpu_millicores: int) -> Because[int]:
    cores = math.ceil(cpu_millicores / 1000)
    if cores < 4:
        return Because(
            0, "with fewer than four cores a parallel query takes the cores of other requests"
        )
    return Because(min(4, math.ceil(cores / 2)), "half of {cpu_millicores}, four at most")


def _max_wal_size(*, storage_bytes: int) -> Because[int]:
    by_volume = _megabytes(storage_bytes * figures.WAL_VOLUME_SHARE)
    if by_volume >= figures.WAL_MAX_BYTES:
        return Because(
            figures.WAL_MAX_BYTES,
            "the more log between two checkpoints, the fewer pages are written in full; more than "
            "this only makes a start after a crash longer",
        )
    return Because(
        max(by_volume, figures.WAL_LEAST_BYTES),
        "a tenth of the volume's {storage_bytes}, which the log shares with the data; at least "
        "256Mi",
    )


def _min_wal_size(*, max_wal_size_bytes: int) -> Because[int]:
    return Because(
        _megabytes(max_wal_size_bytes * figures.WAL_MIN_SHARE),
        "a quarter of {max_wal_size_bytes} is kept to be used again in place of new files",
    )


def _megabytes(size: float) -> int:
    return int(size) // figures.MIB * figures.MIB
