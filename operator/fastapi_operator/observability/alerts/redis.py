"""Alerts on cache and queue."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.alerts.alert import NUMBER, PERCENT, SECONDS, Alert
from fastapi_operator.observability.alerts.load import LOOP_ON_TIME
from fastapi_operator.observability.promql import SERVICE, by_service, of_component
from fastapi_operator.observability.units import milliseconds, percent
from fastapi_operator.parts import Part


def _redis_lookups(kind: str) -> str:
    return by_service(f"rate(redis_keyspace_{kind}_total{{{of_component(Part.CACHE)}}}[10m])")


_LOOKUPS = f"({_redis_lookups('hits')} + {_redis_lookups('misses')})"


def _queue_memory(bound: float) -> str:
    queue = of_component(Part.QUEUE)
    return (
        f"max by ({SERVICE}) (redis_memory_used_bytes{{{queue}}} "
        f"/ (redis_memory_max_bytes{{{queue}}} > 0)) > {bound}"
    )


def _cache_rate(counter: str, *matchers: str) -> str:
    chosen = ", ".join((of_component(Part.CACHE), *matchers))
    return by_service(f"rate({counter}{{{chosen}}}[10m])")


# A request that misses loads the value and stores it. If one request does so for all others, a key
# that is gone is stored once.
_STORED = _cache_rate("redis_commands_total", 'cmd=~"set|setex|psetex|hset|json.set"')
_REMOVED = (
    f"({_cache_rate('redis_expired_keys_total')} + {_cache_rate('redis_evicted_keys_total')} > 0)"
)
_CALLS = "db_client_operation_duration_seconds"
_OF_REDIS = '{db_system_name="redis"}[5m]'
_SLOW_IN_APP = (
    f"histogram_quantile(0.95, {by_service(f'rate({_CALLS}_bucket{_OF_REDIS})', 'le')})"
    f" > {bounds.CACHE_SLOW_SECONDS}\n"
    f"and on ({SERVICE}) {by_service(f'rate({_CALLS}_count{_OF_REDIS})')}"
    f" > {bounds.CACHE_LOOKUPS_PER_SECOND}"
)

CACHE = (
    Alert(
        name="FastAPICacheTooSmall",
        group="cache",
        condition=f"less than {percent(bounds.CACHE_HITS)} of the lookups find their key, and keys "
        "are evicted",
        expression=f"{_redis_lookups('hits')} / on ({SERVICE}) "
        f"({_LOOKUPS} > {bounds.CACHE_LOOKUPS_PER_SECOND}) < {bounds.CACHE_HITS}\n"
        f"and on ({SERVICE}) "
        + by_service(f"rate(redis_evicted_keys_total{{{of_component(Part.CACHE)}}}[10m])")
        + " > 0",
        held="15m",
        summary=f"{PERCENT} of the lookups find their key, and keys are evicted: the cache is too "
        "small",
        page="cache-too-small",
    ),
    Alert(
        name="FastAPICacheStampede",
        group="cache",
        condition=f"for each key that expires or is evicted, more than {bounds.STAMPEDE_LOADS} "
        "lookups miss and as many values are stored",
        expression=f"{_redis_lookups('misses')} / on ({SERVICE}) {_REMOVED}"
        f" > {bounds.STAMPEDE_LOADS}\n"
        f"and on ({SERVICE}) {_STORED} / on ({SERVICE}) {_REMOVED} > {bounds.STAMPEDE_LOADS}",
        held="15m",
        summary=f"{NUMBER} requests at once load each key that expires or is evicted",
        page="cache-stampede",
    ),
    Alert(
        name="FastAPICacheSlow",
        group="cache",
        condition="a command takes more than "
        f"{milliseconds(bounds.CACHE_COMMAND_SECONDS)} in the server on average, or a call of the "
        f"app takes more than {milliseconds(bounds.CACHE_SLOW_SECONDS)} (p95) although its event "
        "loop is on time",
        expression=by_service(
            f"rate(redis_commands_duration_seconds_total{{{of_component(Part.CACHE)}}}[5m])"
        )
        + f" / on ({SERVICE}) ("
        + by_service(f"rate(redis_commands_total{{{of_component(Part.CACHE)}}}[5m])")
        + f" > {bounds.CACHE_LOOKUPS_PER_SECOND}) > {bounds.CACHE_COMMAND_SECONDS}\n"
        f"or ({_SLOW_IN_APP}\n{LOOP_ON_TIME})",
        held="10m",
        summary=f"a cache command takes {SECONDS}, as the server's mean or the app's p95",
        page="cache-slow",
    ),
    Alert(
        name="FastAPICacheDown",
        group="cache",
        condition="the exporter of the cache cannot connect to it",
        expression=f"max by ({SERVICE}) (redis_up{{{of_component(Part.CACHE)}}}) == 0",
        held="2m",
        summary="the cache does not respond (redis_up is {{ $value }}): all reads reach the "
        "database",
        page="cache-down",
    ),
    Alert(
        name="FastAPIQueueDown",
        group="queue",
        condition="the exporter of the queue cannot connect to it",
        expression=f"max by ({SERVICE}) (redis_up{{{of_component(Part.QUEUE)}}}) == 0",
        held="2m",
        summary="the queue does not respond (redis_up is {{ $value }}): background work has "
        "stopped",
        page="queue-down",
        severity="critical",
    ),
    Alert(
        name="FastAPIQueueFilling",
        group="queue",
        condition=f"more than {percent(bounds.QUEUE_MEMORY_USED)} of the queue's memory is used",
        expression=_queue_memory(bounds.QUEUE_MEMORY_USED),
        held="10m",
        summary=f"{PERCENT} of the queue's memory is used; it never evicts messages",
        page="queue-filling",
    ),
    Alert(
        name="FastAPIQueueFull",
        group="queue",
        condition=f"more than {percent(bounds.QUEUE_MEMORY_USED_LAST)} of the queue's memory is "
        "used",
        expression=_queue_memory(bounds.QUEUE_MEMORY_USED_LAST),
        held="5m",
        summary=f"{PERCENT} of the queue's memory is used: it will soon reject messages",
        page="queue-filling",
        severity="critical",
    ),
)
