"""The managed Redis as cache."""

from fastapi_operator import quantity
from fastapi_operator.api.redis import Redis
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.budget import pods_at_peak
from fastapi_operator.tuning.decision import Because, decide, overridden
from fastapi_operator.tuning.plan import CachePlan, ScalingPlan, ServerPlan


def cache_plan(redis: Redis, server: ServerPlan, scaling: ScalingPlan) -> CachePlan:
    """The numbers of Redis; its sizes follow from its memory alone."""
    given = None if redis.memory is None else quantity.size_bytes(redis.memory)
    memory = decide(
        "cache.memory_limit_bytes",
        _memory,
        unit="",
        override=overridden(given, "spec.redis.memory"),
        effect=effects.OBJECT_RESTART,
    )
    max_clients = decide(
        "cache.max_clients",
        _max_clients,
        unit="connections",
        memory_bytes=memory,
        effect=effects.SERVER_RESTART,
    )
    peak = pods_at_peak(scaling.max_replicas.value, scaling.max_surge.value)
    return CachePlan(
        memory_limit_bytes=memory,
        maxmemory_bytes=decide(
            "cache.maxmemory_bytes",
            _maxmemory,
            unit="",
            memory_bytes=memory,
            effect=effects.SERVER_RESTART,
        ),
        policy=decide("cache.policy", _policy, unit="", effect=effects.SERVER_RESTART),
        max_clients=max_clients,
        pool_size=decide(
            "cache.pool_size",
            _pool_size,
            unit="connections",
            concurrency=server.concurrency,
            max_clients=max_clients,
            processes=peak * server.workers.value,
            effect=effects.APP_ROLLOUT,
        ),
        timeout_seconds=decide(
            "cache.timeout_seconds",
            _timeout,
            unit="seconds",
            effect=effects.APP_ROLLOUT,
        ),
    )


def _memory() -> Because[int]:
    return Because(figures.CACHE_MEMORY_BYTES, "a small cache; spec.redis.memory sets it")


def _maxmemory(*, memory_bytes: int) -> Because[int]:
    return Because(
        int(memory_bytes * figures.CACHE_FILL) // figures.MIB * figures.MIB,
        "three quarters of {memory_bytes}; the rest is for buffers and fragmentation, so that the "
        "cache evicts before the kernel kills it",
    )


def _policy() -> Because[str]:
    return Because(
        "allkeys-lru",
        "a full cache drops what was used least recently; Redis's own default refuses writes",
    )


def _max_clients(*, memory_bytes: int) -> Because[int]:
    share = int(memory_bytes * (1 - figures.CACHE_FILL) / 2)
    return Because(
        max(figures.CACHE_CLIENTS_MIN, share // figures.CACHE_CLIENT_BYTES),
        "half of what {memory_bytes} leave beside the data, at 20Ki a client",
    )


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
