"""The optional features of the proxy: cache, rate limit, static files, streams, compression."""

import math
from typing import Any

from fastapi_operator.api.proxy import Compression, Proxy
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.profile import ProfiledSpec

CACHE = Group("proxy", effects.SERVER_RELOAD, case="with cache")
RATE_LIMIT = Group("proxy", effects.SERVER_RELOAD, case="with rateLimit")
STREAMS = Group("proxy", effects.SERVER_RELOAD, case="with streamingPaths")
STATIC = Group("proxy", effects.SERVER_RELOAD, case="with static")
COMPRESSION = Group("proxy", effects.SERVER_RELOAD, case="unless compression is disabled")


def feature_numbers(profiled: ProfiledSpec, proxy: Proxy) -> dict[str, Any]:
    """Decides the numbers of the features that the service uses."""
    decided: dict[str, Any] = {}
    if proxy.cache is not None:
        decided |= CACHE.decide(
            profiled,
            answer_bytes=figures.PROXY_CACHE_ANSWER_BYTES,
            fresh_seconds=max(route.seconds for route in proxy.cache.routes),
            stale_seconds=proxy.cache.stale_seconds or 0,
        )
    if proxy.rate_limit is not None:
        decided |= RATE_LIMIT.decide(profiled, clients=figures.PROXY_RATE_CLIENTS)
    if proxy.streaming_paths:
        decided |= STREAMS.decide(profiled)
    if proxy.static:
        decided |= STATIC.decide(profiled)
    if (proxy.compression or Compression()).enabled is not False:
        decided |= COMPRESSION.decide(profiled)
    return decided


CACHE.constant(
    "cache_bytes",
    256 * figures.MIB,
    "on the node's disk; spec.proxy.cache.size sets it",
    field="proxy.cache.size",
    evidence="judgement",
)


@CACHE.number(effect=effects.OBJECT_ROLLOUT)
def _cache_volume_bytes(*, cache_bytes: int) -> Because[int]:
    """cache_bytes + max(¼ · cache_bytes, 64 MiB).

    nginx removes the excess afterwards, and a full emptyDir evicts the pod (judgement).
    """
    extra = max(
        math.ceil(cache_bytes * (figures.PROXY_CACHE_VOLUME_SHARE - 1)),
        figures.PROXY_CACHE_VOLUME_EXTRA_MIN_BYTES,
    )
    return Because(
        _mebibytes(cache_bytes + extra),
        "room above the cache's {cache_bytes}, since nginx removes the excess afterwards",
    )


@CACHE.number()
def _cache_keys_bytes(*, cache_bytes: int, answer_bytes: int) -> Because[int]:
    """128 bytes for each 8 KiB of the cache, at least 1 MiB.

    One MiB holds about 8,000 keys (nginx's documentation).
    """
    keys = cache_bytes / answer_bytes * figures.PROXY_CACHE_KEY_BYTES
    return Because(
        max(figures.MIB, _mebibytes(keys)),
        f"{figures.PROXY_CACHE_KEY_BYTES} bytes of shared memory for each response that fits, at "
        "{answer_bytes} a response",
    )


@CACHE.number()
def _cache_idle_seconds(*, fresh_seconds: int, stale_seconds: int) -> Because[int]:
    """max(seconds of the routes, staleSeconds).

    A response that is not requested for so long is removed.
    """
    return Because(
        max(fresh_seconds, stale_seconds),
        "an unused response is removed after the longer of {fresh_seconds} s of the routes and "
        "{stale_seconds} s of staleSeconds",
    )


@RATE_LIMIT.number(unit="requests", field="proxy.rateLimit.requestsPerSecond")
def _rate_per_second() -> Because[int]:
    """`rateLimit.requestsPerSecond`.

    Only the owner of the service knows it.
    """
    raise AssertionError("the field is required")


@RATE_LIMIT.number(unit="requests", field="proxy.rateLimit.burst")
def _rate_burst(*, rate_per_second: int) -> Because[int]:
    """2 · rate_per_second.

    A page sends several requests at once (judgement).
    """
    return Because(
        figures.PROXY_RATE_BURST_FACTOR * rate_per_second,
        "twice the rate: a page sends several requests at once",
    )


@RATE_LIMIT.number()
def _rate_clients_bytes(*, clients: int) -> Because[int]:
    """10 MiB: 80,000 addresses at 128 bytes (nginx's documentation)."""
    return Because(
        _mebibytes(clients * figures.PROXY_RATE_CLIENT_BYTES),
        "{clients} addresses; above that the least recent one is forgotten",
    )


STREAMS.constant(
    "stream_timeout_seconds",
    3600,
    "a stream may be silent between two events",
    evidence="judgement",
)
STATIC.constant(
    "static_max_age_seconds",
    3600,
    "an hour: a new version may have other files under the same names",
    evidence="judgement",
)
STATIC.constant(
    "static_volume_bytes",
    512 * figures.MIB,
    "scripts, styles and images of one app; each proxy pod copies them from its image",
    effect=effects.OBJECT_ROLLOUT,
    evidence="judgement",
)
COMPRESSION.constant(
    "compression_min_bytes",
    1024,
    "a response smaller than a packet does not arrive earlier if it is compressed",
    field="proxy.compression.minBytes",
    evidence="judgement",
)


def _mebibytes(size: float) -> int:
    return math.ceil(size / figures.MIB) * figures.MIB
