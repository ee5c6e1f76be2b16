"""The managed PostgreSQL: its own CPU and memory decide all its sizes, no field of the app does."""

import math

from fastapi_operator.api.postgres import Postgres
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.compute import amounts
from fastapi_operator.tuning.decision import Because, decide, overridden
from fastapi_operator.tuning.plan import DatabasePlan


def database_plan(postgres: Postgres) -> DatabasePlan:
    """The numbers of PostgreSQL (memory after pgtune's formulas for type "web")."""
    given = amounts(postgres.resources)
    cpu = decide(
        "database.cpu_millicores",
        _cpu,
        unit="",
        override=overridden(given.cpu_limit, "spec.postgres.resources.limits.cpu")
        or overridden(given.cpu_request, "spec.postgres.resources.requests.cpu"),
        effect=effects.OBJECT_RESTART,
    )
    memory = decide(
        "database.memory_bytes",
        _memory,
        unit="",
        override=overridden(given.memory_limit, "spec.postgres.resources.limits.memory")
        or overridden(given.memory_request, "spec.postgres.resources.requests.memory"),
        effect=effects.OBJECT_RESTART,
    )
    pooler_connections = decide(
        "database.pooler_connections",
        _pooler_connections,
        unit="connections",
        cpu_millicores=cpu,
        memory_bytes=memory,
        effect=effects.SERVER_RESTART,
    )
    max_connections = decide(
        "database.max_connections",
        _max_connections,
        unit="connections",
        pooler_connections=pooler_connections,
        effect=effects.SERVER_RESTART,
    )
    shared_buffers = decide(
        "database.shared_buffers_bytes",
        _shared_buffers,
        unit="",
        memory_bytes=memory,
        effect=effects.SERVER_RESTART,
    )
    worker_processes = decide(
        "database.worker_processes",
        _worker_processes,
        unit="processes",
        cpu_millicores=cpu,
        effect=effects.SERVER_RESTART,
    )
    return DatabasePlan(
        cpu_millicores=cpu,
        memory_bytes=memory,
        pooler_connections=pooler_connections,
        max_connections=max_connections,
        shared_buffers_bytes=shared_buffers,
        effective_cache_size_bytes=decide(
            "database.effective_cache_size_bytes",
            _effective_cache_size,
            unit="",
            memory_bytes=memory,
            effect=effects.SERVER_RELOAD,
        ),
        maintenance_work_mem_bytes=decide(
            "database.maintenance_work_mem_bytes",
            _maintenance_work_mem,
            unit="",
            memory_bytes=memory,
            effect=effects.SERVER_RELOAD,
        ),
        work_mem_bytes=decide(
            "database.work_mem_bytes",
            _work_mem,
            unit="",
            memory_bytes=memory,
            shared_buffers_bytes=shared_buffers,
            max_connections=max_connections,
            worker_processes=worker_processes,
            effect=effects.SERVER_RELOAD,
        ),
        worker_processes=worker_processes,
        parallel_workers_per_gather=decide(
            "database.parallel_workers_per_gather",
            _parallel_workers,
            unit="processes",
            cpu_millicores=cpu,
            effect=effects.SERVER_RELOAD,
        ),
        statement_timeout_seconds=decide(
            "database.statement_timeout_seconds",
            _statement_timeout,
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
        idle_in_transaction_seconds=decide(
            "database.idle_in_transaction_seconds",
            _idle_in_transaction,
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
    )


def _cpu() -> Because[int]:
    return Because(figures.DATABASE_CPU_MILLICORES, "one core serves a small database")


def _memory() -> Because[int]:
    return Because(figures.DATABASE_MEMORY_BYTES, "enough for a small database's hot pages")


def _pooler_connections(*, cpu_millicores: int, memory_bytes: int) -> Because[int]:
    active = figures.ACTIVE_PER_CORE * cpu_millicores / 1000 + 1
    by_cpu = max(figures.SERVERS_MIN, math.floor(figures.ACTIVE_SLACK * active))
    by_memory = int(figures.BACKENDS_MEMORY_SHARE * memory_bytes / figures.BACKEND_MEMORY_BYTES)
    if by_memory < by_cpu:
        return Because(
            max(2, by_memory),
            "a quarter of {memory_bytes} at 10Mi a connection; the CPU alone would drive "
            f"{by_cpu}",
        )
    return Because(
        by_cpu,
        "twice the connections that {cpu_millicores} can execute at once (2 a core and one for "
        f"the disk), at least {figures.SERVERS_MIN}; more would only queue inside the database",
    )


def _max_connections(*, pooler_connections: int) -> Because[int]:
    reserved = figures.SUPERUSER_RESERVED + figures.ADMIN_RESERVED
    return Because(
        math.ceil(pooler_connections / figures.POOLER_SHARE) + reserved,
        "{pooler_connections} for the pooler are four fifths, and "
        f"{reserved} are kept for superusers, migrations and monitoring",
    )


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


def _statement_timeout() -> Because[int]:
    return Because(
        figures.STATEMENT_TIMEOUT_SECONDS,
        f"after the pooler's queue ({figures.QUERY_WAIT_TIMEOUT_SECONDS} s) and before the proxy "
        f"gives up ({figures.PROXY_READ_TIMEOUT_SECONDS} s), so that an error names its cause",
    )


def _idle_in_transaction() -> Because[int]:
    return Because(
        figures.IDLE_IN_TRANSACTION_SECONDS,
        "a transaction that waits on the app holds one of few connections",
    )


def _megabytes(size: float) -> int:
    return int(size) // figures.MIB * figures.MIB
