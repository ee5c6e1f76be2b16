"""A PostgreSQL that the operator configures: its own CPU and memory decide all its sizes."""

import math
from typing import NamedTuple

from fastapi_operator.api.postgres import Postgres
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, Decision
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import DatabasePlan, PostgresPlan, PostgresPodPlan
from fastapi_operator.tuning.profile import ProfiledSpec

SIZE = Group("postgres", effects.OBJECT_RESTART)
# Its formulas are pgtune's for type "web".
POSTGRES = Group("postgres", effects.SERVER_RELOAD)
POD = Group("postgres_pod", effects.OBJECT_RESTART)


class ServerSize(NamedTuple):
    """The resources of the database's pod, which decide all other sizes."""

    cpu_millicores: Decision[int]
    memory_bytes: Decision[int]
    storage_bytes: Decision[int]


def server_size(profiled: ProfiledSpec) -> ServerSize:
    """Decides CPU and memory of the database's pod, and its volume."""
    return ServerSize(**SIZE.decide(profiled))


def postgres_plan(
    profiled: ProfiledSpec, postgres: Postgres, size: ServerSize, database: DatabasePlan
) -> PostgresPlan:
    """Decides the memory and processes of PostgreSQL."""
    sizes = size._asdict()
    decided = POSTGRES.decide(
        profiled,
        **sizes,
        replicated=postgres.mode == "CloudNativePG",
        max_connections=database.max_connections,
    )
    return PostgresPlan(**sizes, **decided)


def postgres_pod_plan(profiled: ProfiledSpec) -> PostgresPodPlan:
    """Decides the numbers of a pod that the operator runs; CloudNativePG has its own."""
    return PostgresPodPlan(**POD.decide(profiled))


SIZE.constant(
    "cpu_millicores",
    1000,
    "one core serves a small database",
    field=("postgres.resources.limits.cpu", "postgres.resources.requests.cpu"),
    ceiling="postgres.resources.limits.cpu",
    amount="cpu",
    evidence="judgement; the other sizes follow from it",
)
SIZE.constant(
    "memory_bytes",
    1 * figures.GIB,
    "enough for the hot pages of a small database",
    field=("postgres.resources.limits.memory", "postgres.resources.requests.memory"),
    ceiling="postgres.resources.limits.memory",
    amount="memory",
    evidence="judgement",
)
SIZE.constant(
    "storage_bytes",
    10 * figures.GIB,
    "room to begin with; spec.postgres.storage.size lets it grow, it never shrinks",
    effect=effects.OBJECT_NONE,
    field="postgres.storage.size",
    ceiling="postgres.storage.size",
    amount="storage",
    evidence="judgement; a volume grows if its class allows it",
)


@POSTGRES.number(unit="pods", effect=effects.OBJECT_NONE, field="postgres.cloudNativePG.instances")
def _instances(*, replicated: bool) -> Because[int]:
    """1; 3 with `mode: CloudNativePG`.

    One may be lost while another takes over.
    """
    if not replicated:
        return Because(1, "one server on one volume; mode: CloudNativePG runs several")
    return Because(
        figures.REPLICATED_INSTANCES,
        "one may be lost while another takes over and a third still follows",
    )


@POSTGRES.number(effect=effects.SERVER_RESTART, headline=True)
def _shared_buffers_bytes(*, memory_bytes: int) -> Because[int]:
    """A quarter of memory, below 8 TiB (pgtune)."""
    wanted = _megabytes(memory_bytes * figures.SHARED_BUFFERS_SHARE)
    return Because(min(wanted, figures.SHARED_BUFFERS_MAX_BYTES), "a quarter of {memory_bytes}")


@POSTGRES.number()
def _effective_cache_size_bytes(*, memory_bytes: int) -> Because[int]:
    """Three quarters of memory, below 16 TiB (pgtune)."""
    wanted = _megabytes(memory_bytes * figures.EFFECTIVE_CACHE_SHARE)
    return Because(
        min(wanted, figures.EFFECTIVE_CACHE_MAX_BYTES),
        "three quarters of {memory_bytes}: the planner may expect so much to be cached",
    )


@POSTGRES.number()
def _maintenance_work_mem_bytes(*, memory_bytes: int) -> Because[int]:
    """A sixteenth of memory, at most 8 GiB (pgtune)."""
    wanted = _megabytes(memory_bytes * figures.MAINTENANCE_SHARE)
    return Because(
        min(wanted, figures.MAINTENANCE_MAX_BYTES), "a sixteenth of {memory_bytes}, at most 8Gi"
    )


@POSTGRES.number(unit="processes", effect=effects.SERVER_RESTART)
def _worker_processes(*, cpu_millicores: int) -> Because[int]:
    """The cores, at most 1024; 8 below four cores (pgtune)."""
    cores = math.ceil(cpu_millicores / 1000)
    if cores < 4:
        return Because(
            figures.WORKER_PROCESSES_DEFAULT, "PostgreSQL's default, for fewer than four cores"
        )
    return Because(
        min(cores, figures.WORKER_PROCESSES_MAX),
        f"one for each of {{cpu_millicores}}, at most {figures.WORKER_PROCESSES_MAX}",
    )


@POSTGRES.number(headline=True)
def _work_mem_bytes(
    *,
    memory_bytes: int,
    shared_buffers_bytes: int,
    max_connections: int,
    worker_processes: int,
) -> Because[int]:
    """(memory − shared buffers) / ((max_connections + workers) · 3), at least 4 MiB (pgtune)."""
    share = (memory_bytes - shared_buffers_bytes) / (
        (max_connections + worker_processes) * figures.WORK_MEMORY_DIVISOR
    )
    return Because(
        max(_megabytes(share), figures.WORK_MEMORY_MIN_BYTES),
        "the rest of {memory_bytes} beside the shared buffers, over three sorts in each of "
        "{max_connections} connections and {worker_processes} workers; at least 4Mi",
    )


@POSTGRES.number(unit="processes")
def _parallel_workers_per_gather(*, cpu_millicores: int) -> Because[int]:
    """⌈cores / 2⌉, at most 4; 0 below four cores (pgtune).

    A parallel query takes the cores of other requests.
    """
    cores = math.ceil(cpu_millicores / 1000)
    if cores < 4:
        return Because(
            0, "with fewer than four cores a parallel query takes the cores of other requests"
        )
    return Because(min(4, math.ceil(cores / 2)), "half of {cpu_millicores}, at most four")


@POSTGRES.number()
def _max_wal_size_bytes(*, storage_bytes: int) -> Because[int]:
    """A tenth of the volume, from 256 MiB to 4 GiB.

    pgtune's 4 GB if the volume has room: PostgreSQL lets the log exceed the bound when a checkpoint
    is late, and a full volume stops the database. The tenth is judgement.
    """
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


@POSTGRES.number()
def _min_wal_size_bytes(*, max_wal_size_bytes: int) -> Because[int]:
    """max_wal_size_bytes / 4 (pgtune).

    wal_buffers stays at PostgreSQL's default: a thirty-second of the shared buffers, at most 16 MB,
    which is pgtune's formula too.
    """
    return Because(
        _megabytes(max_wal_size_bytes * figures.WAL_MIN_SHARE),
        "a quarter of {max_wal_size_bytes} is kept and used again in place of new files",
    )


POD.constant(
    "shared_memory_bytes",
    128 * figures.MIB,
    "for the processes of a parallel query, out of the pod's memory; a container has 64Mi by "
    "default, and such a query then fails",
    evidence="judgement",
)
POD.constant(
    "grace_seconds",
    60,
    "a stop writes one checkpoint; if it is killed before, the next start replays the log",
    evidence="judgement",
)


def _megabytes(size: float) -> int:
    return int(size) // figures.MIB * figures.MIB
