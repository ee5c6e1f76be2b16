"""What slows or stops the cache and the queue."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.alerts.alert import NUMBER, PERCENT, SECONDS, Alert
from fastapi_operator.observability.alerts.load import LOOP_ON_TIME
from fastapi_operator.observability.promql import SERVICE, by_service, of_component


def _redis_lookups(kind: str) -> str:
    return by_service(f"rate(redis_keyspace_{kind}_total{{{of_component('cache')}}}[10m])")


_LOOKUPS = f"({_redis_lookups('hits')} + {_redis_lookups('misses')})"


def _queue_memory(bound: float) -> str:
    queue = of_component("queue")
    return (
        f"max by ({SERVICE}) (redis_memory_used_bytes{{{queue}}} "
        f"/ (redis_memory_max_bytes{{{queue}}} > 0)) > {bound}"
    )


def _cached(counter: str, *matchers: str) -> str:
    chosen = ", ".join((of_component("cache"), *matchers))
    return by_service(f"rate({counter}{{{chosen}}}[10m])")


# Whoever misses loads and stores: that is once a key that went, where one request does it for all.
_STORED = _cached("redis_commands_total", 'cmd=~"set|setex|psetex|hset|json.set"')
_GONE = f"({_cached('redis_expired_keys_total')} + {_cached('redis_evicted_keys_total')} > 0)"
_CALLS = "db_client_operation_duration_seconds"
_OF_REDIS = '{db_system_name="redis"}[5m]'
_IN_APP = (
    f"histogram_quantile(0.95, {by_service(f'rate({_CALLS}_bucket{_OF_REDIS})', 'le')})"
    f" > {bounds.CACHE_SLOW_SECONDS}\n"
    f"and on ({SERVICE}) {by_service(f'rate({_CALLS}_count{_OF_REDIS})')}"
    f" > {bounds.CACHE_LOOKUPS_PER_SECOND}"
)

CACHE = (
    Alert(
        name="FastAPICacheTooSmall",
        group="cache",
        expression=f"{_redis_lookups('hits')} / on ({SERVICE}) "
        f"({_LOOKUPS} > {bounds.CACHE_LOOKUPS_PER_SECOND}) < {bounds.CACHE_HITS}\n"
        f"and on ({SERVICE}) "
        + by_service(f"rate(redis_evicted_keys_total{{{of_component('cache')}}}[10m])")
        + " > 0",
        held="15m",
        summary=f"{PERCENT} of the lookups find their key, and keys are evicted for want of memory",
        page="cache-too-small",
    ),
    Alert(
        name="FastAPICacheStampede",
        group="cache",
        expression=f"{_redis_lookups('misses')} / on ({SERVICE}) {_GONE}"
        f" > {bounds.STAMPEDE_LOADS}\n"
        f"and on ({SERVICE}) {_STORED} / on ({SERVICE}) {_GONE} > {bounds.STAMPEDE_LOADS}",
        held="15m",
        summary=f"{NUMBER} requests load each key that goes from the cache, at the same time",
        page="cache-stampede",
    ),
    Alert(
        name="FastAPICacheSlow",
        group="cache",
        expression=by_service(
            f"rate(redis_commands_duration_seconds_total{{{of_component('cache')}}}[5m])"
        )
        + f" / on ({SERVICE}) ("
        + by_service(f"rate(redis_commands_total{{{of_component('cache')}}}[5m])")
        + f" > {bounds.CACHE_LOOKUPS_PER_SECOND}) > {bounds.CACHE_COMMAND_SECONDS}\n"
        f"or ({_IN_APP}\n{LOOP_ON_TIME})",
        held="10m",
        summary=f"the cache takes {SECONDS} for a command: on average in the server, or at p95 "
        "as the app sees it",
        page="cache-slow",
    ),
    Alert(
        name="FastAPICacheDown",
        group="cache",
        expression=f"max by ({SERVICE}) (redis_up{{{of_component('cache')}}}) == 0",
        held="2m",
        summary="the cache does not answer (redis_up is {{ $value }}): all reads reach the "
        "database",
        page="cache-down",
    ),
    Alert(
        name="FastAPIQueueDown",
        group="queue",
        expression=f"max by ({SERVICE}) (redis_up{{{of_component('queue')}}}) == 0",
        held="2m",
        summary="the queue does not answer (redis_up is {{ $value }}): no work is taken or given",
        page="queue-down",
        severity="critical",
    ),
    Alert(
        name="FastAPIQueueFilling",
        group="queue",
        expression=_queue_memory(bounds.QUEUE_MEMORY_USED),
        held="10m",
        summary=f"{PERCENT} of the queue's memory are full; it never evicts",
        page="queue-filling",
    ),
    Alert(
        name="FastAPIQueueFull",
        group="queue",
        expression=_queue_memory(bounds.QUEUE_MEMORY_USED_LAST),
        held="5m",
        summary=f"{PERCENT} of the queue's memory are full: it is about to refuse messages",
        page="queue-filling",
        severity="critical",
    ),
)
