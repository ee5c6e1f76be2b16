"""The cache: the managed server's sizes, and the connections that each process opens to it."""

import math
from collections.abc import Iterable

from fastapi_operator import quantity
from fastapi_operator.api.redis import Redis
from fastapi_operator.tuning import effects, figures, redis
from fastapi_operator.tuning.budget import Claim, pods_at_peak
from fastapi_operator.tuning.decision import Because, decide, overridden
from fastapi_operator.tuning.plan import CachePlan, CachePoolPlan, ScalingPlan, ServerPlan


def cache_plan(spec: Redis) -> CachePlan:
    """The numbers of the managed server; its sizes follow from its memory alone."""
    given = None if spec.memory is None else quantity.size_bytes(spec.memory)
    volume = spec.persistence
    memory = decide(
        "cache.memory_limit_bytes",
        _memory,
        unit="",
        override=overridden(given, "spec.redis.memory"),
        effect=effects.OBJECT_RESTART,
    )
    maxmemory = decide(
        "cache.maxmemory_bytes",
        _maxmemory,
        unit="",
        memory_bytes=memory,
        persistent=volume is not None,
        effect=effects.SERVER_RESTART,
    )
    size = None if volume is None or volume.size is None else quantity.size_bytes(volume.size)
    return CachePlan(
        cpu_request_millicores=redis.cpu_request("cache"),
        memory_limit_bytes=memory,
        maxmemory_bytes=maxmemory,
        policy=decide("cache.policy", _policy, unit="", effect=effects.SERVER_RESTART),
        max_clients=decide(
            "cache.max_clients",
            redis.max_clients,
            unit="connections",
            memory_bytes=memory,
            effect=effects.SERVER_RESTART,
        ),
        grace_seconds=decide(
            "cache.grace_seconds",
            _grace_seconds,
            unit="seconds",
            snapshot_bytes=maxmemory.value if volume is not None else 0,
            effect=effects.OBJECT_RESTART,
        ),
        storage_bytes=None
        if volume is None
        else decide(
            "cache.storage_bytes",
            _storage,
            unit="",
            override=overridden(size, "spec.redis.persistence.size"),
            maxmemory_bytes=maxmemory,
            effect=effects.OBJECT_NONE,
        ),
        snapshot_seconds=None
        if volume is None
        else decide(
            "cache.snapshot_seconds",
            _snapshot_seconds,
            unit="seconds",
            effect=effects.SERVER_RESTART,
        ),
    )


def cache_pool_plan(
    spec: Redis,
    cache: CachePlan | None,
    server: ServerPlan,
    scaling: ScalingPlan,
    others: Iterable[Claim],
) -> CachePoolPlan:
    """What each process of the image may open.

    Args:
        spec: What the user said of the cache.
        cache: The managed server; None where it is external.
        server: The server in each pod of the app.
        scaling: How many pods.
        others: The processes beside the app, which connect as well.
    """
    max_clients = decide(
        "cache_pool.max_clients",
        _max_clients if cache is None else _max_clients_here,
        unit="connections",
        override=overridden(spec.max_clients, "spec.redis.maxClients"),
        effect=effects.APP_ROLLOUT,
        **({} if cache is None else {"server_max_clients": cache.max_clients}),
    )
    peak = pods_at_peak(scaling.max_replicas.value, scaling.max_surge.value)
    return CachePoolPlan(
        max_clients=max_clients,
        size=decide(
            "cache_pool.size",
            _pool_size,
            unit="connections",
            concurrency=server.concurrency,
            max_clients=max_clients,
            processes=peak * server.workers.value + sum(claim.processes for claim in others),
            effect=effects.APP_ROLLOUT,
        ),
        timeout_seconds=decide(
            "cache_pool.timeout_seconds",
            _timeout,
            unit="seconds",
            effect=effects.APP_ROLLOUT,
        ),
    )


def _memory() -> Because[int]:
    return Because(figures.CACHE_MEMORY_BYTES, "a small cache; spec.redis.memory sets it")


def _maxmemory(*, memory_bytes: int, persistent: bool) -> Because[int]:
    if persistent:
        return Because(
            redis.share_of(memory_bytes, figures.CACHE_FILL_PERSISTENT),
            "six tenths of {memory_bytes}; while a snapshot is written, pages that change exist "
            "twice",
        )
    return Because(
        redis.share_of(memory_bytes, figures.CACHE_FILL),
        "three quarters of {memory_bytes}; the rest is for buffers and fragmentation, so that the "
        "cache evicts before the kernel kills it",
    )


def _policy() -> Because[str]:
    return Because(
        "allkeys-lru",
        "a full cache drops what was used least recently; Redis's own default refuses writes",
    )


def _grace_seconds(*, snapshot_bytes: int) -> Because[int]:
    if not snapshot_bytes:
        return Because(figures.REDIS_GRACE_SECONDS, "nothing is written at the end")
    writing = math.ceil(snapshot_bytes / figures.REDIS_SNAPSHOT_BYTES_PER_SECOND)
    return Because(
        figures.REDIS_GRACE_SECONDS + writing,
        "the last snapshot holds up to {snapshot_bytes}, at 32Mi a second",
    )


def _storage(*, maxmemory_bytes: int) -> Because[int]:
    return Because(
        redis.whole_gibibytes(figures.CACHE_SNAPSHOTS * maxmemory_bytes),
        "two snapshots of {maxmemory_bytes}, since the new one is whole before the old one goes; "
        "at least 1Gi",
    )


def _snapshot_seconds() -> Because[int]:
    return Because(
        figures.CACHE_SNAPSHOT_SECONDS,
        "after a crash the cache is as warm as it was then; a clean stop writes a snapshot as well",
    )


def _max_clients() -> Because[int]:
    return Because(
        figures.CACHE_CLIENTS_EXTERNAL,
        "spec.redis.maxClients does not say what the external server grants",
    )


def _max_clients_here(*, server_max_clients: int) -> Because[int]:
    return Because(server_max_clients, "all of the managed server's")


def _pool_size(*, concurrency: int, max_clients: int, processes: int) -> Because[int]:
    fitting = max(1, (max_clients - figures.CACHE_CLIENTS_EXTRA) // max(1, processes))
    wanted = min(concurrency, figures.CACHE_POOL_MAX)
    if fitting < wanted:
        return Because(
            fitting, "{max_clients} clients at most, shared by {processes} processes at peak"
        )
    return Because(wanted, "one for each of {concurrency} requests under way, 50 at most")


def _timeout() -> Because[float]:
    return Because(
        figures.CACHE_TIMEOUT_SECONDS, "a slow cache must cost less than asking the database"
    )
