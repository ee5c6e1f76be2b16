"""Cache, queue and proxy."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.grafana import Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    CADDY_REQUESTS,
    CHOSEN,
    COMPONENT,
    chosen,
    largest,
    quantile,
    rate,
    total,
)

_CACHE = chosen(f'{COMPONENT}="cache"')
_QUEUE = chosen(f'{COMPONENT}="queue"')
_PROXY_SECONDS = "fastapi_proxy_request_duration_seconds"
_HITS, _MISSES = (rate(f"redis_keyspace_{kind}_total", where=_CACHE) for kind in ("hits", "misses"))

STORES = Row(
    title="Cache and queue",
    panels=(
        Panel(
            title="Hit ratio of the cache",
            text="If it is low and keys are evicted, raise the memory. If it is low without "
            "evictions, check the keys and their time to live.",
            unit=Unit.RATIO,
            width=6,
            bounds=(bounds.CACHE_HITS,),
            low=True,
            most=1,
            queries=(Query(f"{_HITS} / ({_HITS} + {_MISSES})", "hits"),),
        ),
        Panel(
            title="Evicted and expired keys",
            text="If keys are evicted, the cache is too small: give keys a time to live, or raise "
            "spec.redis.memory.",
            unit=Unit.PER_SECOND,
            width=6,
            queries=(
                Query(rate("redis_evicted_keys_total", where=_CACHE), "evicted"),
                Query(rate("redis_expired_keys_total", where=_CACHE), "expired"),
            ),
        ),
        Panel(
            title="Mean time of a command",
            text="Measured in the cache. All commands wait for a slow one: look for large keys.",
            unit=Unit.SECONDS,
            width=6,
            bounds=(bounds.CACHE_COMMAND_SECONDS,),
            queries=(
                Query(
                    largest(
                        5,
                        f"{rate('redis_commands_duration_seconds_total', 'cmd', where=_CACHE)} / "
                        f"{rate('redis_commands_total', 'cmd', where=_CACHE)}",
                        "cmd",
                    ),
                    "{{cmd}}",
                ),
            ),
        ),
        Panel(
            title="Memory",
            text="A full cache evicts keys, which is normal. A full queue rejects messages: fix "
            "the queue workers, or raise spec.queue.memory.",
            unit=Unit.BYTES,
            width=6,
            queries=(
                Query(total("redis_memory_used_bytes", where=_CACHE), "cache"),
                Query(total("redis_memory_used_bytes", where=_QUEUE), "queue"),
                Query(
                    planned_series("cache.maxmemory_bytes", CHOSEN), "planned for cache", line=True
                ),
                Query(
                    planned_series("queue.maxmemory_bytes", CHOSEN), "planned for queue", line=True
                ),
            ),
        ),
    ),
)

PROXY = Row(
    title="Proxy",
    panels=(
        Panel(
            title="Requests at the proxy by status",
            text="The app does not count 502 and 504: it closed the connection, or was too slow. "
            "See the runbook proxy-errors.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=(
                Query(
                    rate(f"{_PROXY_SECONDS}_count", "http_response_status_code"),
                    "{{http_response_status_code}}",
                ),
                Query(
                    rate(
                        "caddy_http_request_duration_seconds_count",
                        "code",
                        where=chosen(CADDY_REQUESTS),
                    ),
                    "{{code}}",
                ),
            ),
        ),
        Panel(
            title="Requests that nginx rejected",
            text="pods: each pod has as many requests as it may; more pods or CPU raise the "
            "capacity. proxy: a limit of nginx, for example of slow bodies. rate: a client exceeds "
            "its rate.",
            unit=Unit.REQUESTS_PER_SECOND,
            empty="No request was rejected",
            queries=(Query(rate("fastapi_proxy_shed_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            title="Duration at the proxy and at the app, p95",
            text="The difference is a slow client, or the wait until the app accepts the request.",
            unit=Unit.SECONDS,
            queries=(
                Query(quantile(0.95, _PROXY_SECONDS), "client"),
                Query(quantile(0.95, "fastapi_proxy_upstream_duration_seconds"), "app"),
            ),
        ),
        Panel(
            title="Responses by cache status of the proxy",
            text="If there are too few HITs, cookies or headers prevent caching; see the header "
            "X-Cache.",
            unit=Unit.REQUESTS_PER_SECOND,
            queries=(
                Query(
                    rate("fastapi_proxy_cache_answers_total", "cache_status"), "{{cache_status}}"
                ),
            ),
        ),
    ),
)
