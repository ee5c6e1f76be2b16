"""The cache: the managed server's sizes, and the connections that each process opens to it."""

import math
from collections.abc import Iterable

from fastapi_operator.tuning import effects, figures, redis
from fastapi_operator.tuning.budget import Claim
from fastapi_operator.tuning.connections import app_processes
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import CachePlan, CachePoolPlan, ScalingPlan, ServerCore
from fastapi_operator.tuning.profile import ProfiledSpec

CACHE = Group("cache", effects.SERVER_RESTART)
PERSISTENT = Group("cache", effects.SERVER_RESTART, case="with persistence")
POOL = Group("cache_pool", effects.APP_ROLLOUT)


def cache_plan(profiled: ProfiledSpec) -> CachePlan:
    """Decides the numbers of the managed server; its sizes follow from its memory alone."""
    section = profiled.spec.redis
    persistent = section is not None and section.persistence is not None
    decided = CACHE.decide(profiled, persistent=persistent)
    if persistent:
        decided |= PERSISTENT.decide(profiled, maxmemory_bytes=decided["maxmemory_bytes"])
    return CachePlan(**decided)


def cache_pool_plan(
    profiled: ProfiledSpec,
    cache: CachePlan | None,
    core: ServerCore,
    scaling: ScalingPlan,
    others: Iterable[Claim],
) -> CachePoolPlan:
    """Decides the connections that each process of the image may open.

    Args:
        profiled: The spec and its profile.
        cache: The managed server; None for an external one.
        core: The server in each pod of the app.
        scaling: The number of pods.
        others: The processes beside the app, which connect as well.
    """
    own = sum(app_processes(profiled.spec, core, scaling).values())
    decided = POOL.decide(
        profiled,
        server_max_clients=cache and cache.max_clients.value,
        concurrency=core.concurrency,
        processes=own + sum(claim.processes for claim in others),
    )
    return CachePoolPlan(**decided)


CACHE.constant(
    "memory_limit_bytes",
    256 * figures.MIB,
    "a small cache; spec.redis.memory sets it",
    effect=effects.OBJECT_RESTART,
    field=("parts.cache.resources.limits.memory", "redis.memory"),
    ceiling="redis.memory",
    amount="memory",
    evidence="judgement",
)
redis.declare_shared(CACHE)


@CACHE.number(headline=True)
def _maxmemory_bytes(*, memory_limit_bytes: int, persistent: bool) -> Because[int]:
    """¾ · memory; ⅗ · memory with persistence.

    The cache evicts before the kernel kills it. While a snapshot is written, pages that change
    exist twice (judgement).
    """
    if persistent:
        return Because(
            redis.share_of(memory_limit_bytes, figures.CACHE_FILL_PERSISTENT),
            "six tenths of {memory_limit_bytes}; while a snapshot is written, pages that change "
            "exist twice",
        )
    return Because(
        redis.share_of(memory_limit_bytes, figures.CACHE_FILL),
        "three quarters of {memory_limit_bytes}; the rest is for buffers and fragmentation, so "
        "that the cache evicts before the kernel kills it",
    )


CACHE.constant(
    "policy",
    "allkeys-lru",
    "a full cache drops the least recently used keys; Redis's own default refuses writes",
)


@CACHE.number(effect=effects.OBJECT_RESTART)
def _grace_seconds(*, maxmemory_bytes: int, persistent: bool) -> Because[int]:
    """10; with persistence maxmemory / 32 MiB/s more.

    A clean stop writes a last snapshot (judgement).
    """
    if not persistent:
        return Because(figures.REDIS_GRACE_SECONDS, "the server writes no data when it stops")
    writing = math.ceil(maxmemory_bytes / figures.REDIS_SNAPSHOT_BYTES_PER_SECOND)
    return Because(
        figures.REDIS_GRACE_SECONDS + writing,
        "the last snapshot holds up to {maxmemory_bytes}, at 32Mi a second",
    )


@PERSISTENT.number(
    effect=effects.OBJECT_NONE,
    field="redis.persistence.size",
    ceiling="redis.persistence.size",
    amount="storage",
)
def _storage_bytes(*, maxmemory_bytes: int) -> Because[int]:
    """2 · maxmemory_bytes, in whole GiB.

    The new snapshot is complete before the old one is removed.
    """
    return Because(
        redis.whole_gibibytes(figures.CACHE_SNAPSHOTS * maxmemory_bytes),
        "two snapshots of {maxmemory_bytes}, since the new one is complete before the old one is "
        "removed; at least 1Gi",
    )


PERSISTENT.constant(
    "snapshot_seconds",
    300,
    "after a crash the cache is as warm as it was then; a clean stop writes a snapshot as well",
    evidence="judgement",
)


@POOL.number(unit="connections", field="redis.maxClients")
def _max_clients(*, server_max_clients: int | None) -> Because[int]:
    """max_clients of the managed server; 1000 for an external one."""
    if server_max_clients is not None:
        return Because(server_max_clients, "all of the managed server's")
    return Because(
        figures.CACHE_CLIENTS_EXTERNAL,
        "spec.redis.maxClients does not set the connections that the external server grants",
    )


@POOL.number(unit="connections", headline=True)
def _size(*, concurrency: int, max_clients: int, processes: int) -> Because[int]:
    """min(concurrency, 50), at most max_clients / (R · W)."""
    fitting = max(1, (max_clients - figures.CACHE_CLIENTS_EXTRA) // max(1, processes))
    wanted = min(concurrency, figures.CACHE_POOL_MAX)
    if fitting < wanted:
        return Because(
            fitting, "{max_clients} clients at most, shared by {processes} processes at peak"
        )
    return Because(wanted, "one for each of {concurrency} requests under way, at most 50")


POOL.constant(
    "timeout_seconds",
    figures.CACHE_TIMEOUT_SECONDS,
    "a slow cache must cost less than a query of the database",
    evidence="judgement",
)
