"""What a service may ask of its proxy: cache, rate limit, static files, streams, compression."""

import math

from fastapi_operator import quantity
from fastapi_operator.api.model import Quantity
from fastapi_operator.api.proxy import Compression, HttpCache, RateLimit
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, Decision, Override, decide, overridden


def cache_bytes(cache: HttpCache) -> Decision[int]:
    """Room for answers in each proxy pod."""
    return decide(
        "proxy.cache_bytes",
        lambda: Because(
            figures.PROXY_CACHE_BYTES, "on the node's disk; spec.proxy.cache.size sets it"
        ),
        unit="",
        override=size(cache.size, "spec.proxy.cache.size"),
        effect=effects.SERVER_RELOAD,
    )


def cache_volume_bytes(cache_bytes: Decision[int]) -> Decision[int]:
    """The directory of the cache."""
    return decide(
        "proxy.cache_volume_bytes",
        _cache_volume,
        unit="",
        cache_bytes=cache_bytes,
        effect=effects.OBJECT_ROLLOUT,
    )


def cache_keys_bytes(cache_bytes: Decision[int]) -> Decision[int]:
    """Shared memory for the cache's keys."""
    return decide(
        "proxy.cache_keys_bytes",
        _cache_keys,
        unit="",
        cache_bytes=cache_bytes,
        answer_bytes=figures.PROXY_CACHE_ANSWER_BYTES,
        effect=effects.SERVER_RELOAD,
    )


def cache_idle_seconds(cache: HttpCache) -> Decision[int]:
    """How long an answer that nobody asks for is kept."""
    return decide(
        "proxy.cache_idle_seconds",
        _cache_idle,
        unit="seconds",
        fresh_seconds=max(route.seconds for route in cache.routes),
        stale_seconds=cache.stale_seconds or 0,
        effect=effects.SERVER_RELOAD,
    )


def rate_per_second(limit: RateLimit) -> Decision[int]:
    """Requests of one client address."""
    return decide(
        "proxy.rate_per_second",
        lambda: Because(limit.requests_per_second, ""),
        unit="requests",
        override=Override(limit.requests_per_second, "spec.proxy.rateLimit.requestsPerSecond"),
        effect=effects.SERVER_RELOAD,
    )


def rate_burst(limit: RateLimit, rate: Decision[int]) -> Decision[int]:
    """Requests above the rate that pass at once."""
    return decide(
        "proxy.rate_burst",
        _burst,
        unit="requests",
        override=overridden(limit.burst, "spec.proxy.rateLimit.burst"),
        rate_per_second=rate,
        effect=effects.SERVER_RELOAD,
    )


def rate_clients_bytes() -> Decision[int]:
    """Shared memory for the addresses of clients."""
    return decide(
        "proxy.rate_clients_bytes",
        _rate_clients,
        unit="",
        clients=figures.PROXY_RATE_CLIENTS,
        effect=effects.SERVER_RELOAD,
    )


def stream_timeout_seconds() -> Decision[int]:
    """How long a stream may be silent."""
    return decide(
        "proxy.stream_timeout_seconds",
        lambda: Because(
            figures.PROXY_STREAM_TIMEOUT_SECONDS, "a stream may be silent between two events"
        ),
        unit="seconds",
        effect=effects.SERVER_RELOAD,
    )


def static_max_age_seconds() -> Decision[int]:
    """How long clients keep a static file."""
    return decide(
        "proxy.static_max_age_seconds",
        lambda: Because(
            figures.PROXY_STATIC_MAX_AGE_SECONDS,
            "an hour, since a new version may bring other files under the same names",
        ),
        unit="seconds",
        effect=effects.SERVER_RELOAD,
    )


def static_volume_bytes() -> Decision[int]:
    """The directory of the static files."""
    return decide(
        "proxy.static_volume_bytes",
        lambda: Because(
            figures.PROXY_STATIC_BYTES,
            "scripts, styles and images of one app; each proxy pod copies them from its image",
        ),
        unit="",
        effect=effects.OBJECT_ROLLOUT,
    )


def compression_min_bytes(compression: Compression) -> Decision[int] | None:
    """The smallest answer that is compressed; None where none is."""
    if compression.enabled is False:
        return None
    return decide(
        "proxy.compression_min_bytes",
        lambda: Because(
            figures.PROXY_COMPRESSION_MIN_BYTES, "less than a packet arrives no sooner compressed"
        ),
        unit="",
        override=overridden(compression.min_bytes, "spec.proxy.compression.minBytes"),
        effect=effects.SERVER_RELOAD,
    )


def size(given: Quantity | None, path: str) -> Override[int] | None:
    """Bytes that the spec gives at ``path``, or None where it is silent."""
    return None if given is None else Override(quantity.size_bytes(given), path)


def _cache_volume(*, cache_bytes: int) -> Because[int]:
    extra = max(
        math.ceil(cache_bytes * (figures.PROXY_CACHE_VOLUME_SHARE - 1)),
        figures.PROXY_CACHE_VOLUME_EXTRA_MIN_BYTES,
    )
    mebibytes = math.ceil((cache_bytes + extra) / figures.MIB)
    return Because(
        mebibytes * figures.MIB,
        "room above the cache's {cache_bytes}, since what is too much is removed after the fact",
    )


def _cache_keys(*, cache_bytes: int, answer_bytes: int) -> Because[int]:
    answers = cache_bytes / answer_bytes
    mebibytes = max(1, math.ceil(answers * figures.PROXY_CACHE_KEY_BYTES / figures.MIB))
    return Because(
        mebibytes * figures.MIB,
        f"{figures.PROXY_CACHE_KEY_BYTES} bytes of shared memory for each answer that fits, at "
        "{answer_bytes} an answer",
    )


def _cache_idle(*, fresh_seconds: int, stale_seconds: int) -> Because[int]:
    return Because(
        max(fresh_seconds, stale_seconds),
        "an answer that nobody asks for is dropped after the longest of the routes' "
        "{fresh_seconds} s and the {stale_seconds} s of staleSeconds",
    )


def _burst(*, rate_per_second: int) -> Because[int]:
    return Because(
        figures.PROXY_RATE_BURST_FACTOR * rate_per_second,
        "a page asks for many things at once: twice the rate",
    )


def _rate_clients(*, clients: int) -> Because[int]:
    mebibytes = math.ceil(clients * figures.PROXY_RATE_CLIENT_BYTES / figures.MIB)
    return Because(
        mebibytes * figures.MIB, "{clients} addresses; beyond that the longest unseen is forgotten"
    )
