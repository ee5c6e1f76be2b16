"""Rules on the cache."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis, raised_memory
from fastapi_operator.observability.diagnoses.queues import held, queued
from fastapi_operator.observability.samples import NOTHING
from fastapi_operator.observability.signals import Signals
from fastapi_operator.observability.units import milliseconds, percent
from fastapi_operator.tuning import figures


def cache_too_small(signals: Signals) -> Diagnosis | None:
    """The cache evicts keys that are requested again."""
    cache = signals.cache
    if cache is None or not _misses_often(signals) or not cache.evicted:
        return None
    return Diagnosis(
        rule="cache-too-small",
        diagnosis="the cache evicts keys that are requested again",
        change="give the cache more memory, or shorten the time to live of keys that are rarely "
        "read",
        signals=_cache_signals(signals)
        | {
            "evicted": f"{cache.evicted / signals.seconds:.0f}/s",
            "memory": f"{cache.used_bytes / figures.MIB:.0f} of "
            f"{cache.max_bytes / figures.MIB:.0f} MiB",
        },
        effect=_loads(signals),
        field="spec.redis.memory" if signals.planned.cache_mode == "Managed" else "",
        value=raised_memory(signals.planned.cache_memory_bytes)
        if signals.planned.cache_mode == "Managed"
        else None,
    )


def cache_misses(signals: Signals) -> Diagnosis | None:
    """Lookups miss although the cache has free memory."""
    cache = signals.cache
    if cache is None or not _misses_often(signals) or cache.evicted:
        return None
    return Diagnosis(
        rule="cache-misses",
        diagnosis="many lookups miss although the cache has free memory: keys are not requested "
        "again, or expire too early",
        change="check how keys are built and their time to live; more memory does not help",
        signals=_cache_signals(signals) | {"expired": f"{cache.expired / signals.seconds:.0f}/s"},
        effect=_loads(signals),
    )


def cache_refuses_writes(signals: Signals) -> Diagnosis | None:
    """The cache is full and does not evict."""
    cache = signals.cache
    if cache is None or not cache.refused:
        return None
    return Diagnosis(
        rule="cache-refuses-writes",
        diagnosis="the cache is full and rejects writes: its policy does not evict keys",
        change="set maxmemory-policy allkeys-lru on the external cache; a managed cache has it",
        signals=_cache_signals(signals)
        | {"writes rejected": f"{cache.refused / signals.seconds:.1f}/s"},
        effect=_loads(signals),
    )


def cache_stampede(signals: Signals) -> Diagnosis | None:
    """Many requests load a key that has just expired."""
    bursts = signals.bursts
    if (
        bursts is None
        or signals.cache is None
        or bursts.database < bounds.BURST_SHARE
        or bursts.requests > bounds.EVEN_SHARE
        or bursts.peak_per_second < bounds.BURST_PER_SECOND
        or (bursts.misses is not None and bursts.misses < bounds.BURST_SHARE)
    ):
        return None
    return Diagnosis(
        rule="cache-stampede",
        diagnosis="when a key expires, many requests load it from the database at once",
        change="load each key only once at a time (single flight), randomize the time to live, and "
        "refresh keys before they expire",
        signals={
            "database work in its busiest quarter": percent(bursts.database),
            "requests in their busiest quarter": percent(bursts.requests),
            "peak of checkouts": f"{bursts.peak_per_second:.0f}/s",
            "keys expired": f"{signals.cache.expired:.0f}",
        },
        effect=queued(signals) + held(signals).total / signals.seconds,
    )


def cache_slow(signals: Signals) -> Diagnosis | None:
    """The cache is slow or does not respond."""
    cache = signals.cache
    calls = [pod.cache for pod in signals.app if pod.cache is not None]
    seen = sum((call.durations for call in calls), NOTHING)
    failed = sum(call.failed for call in calls)
    down = cache is not None and cache.up < 1
    slow_server = cache is not None and cache.command_seconds > bounds.CACHE_SLOW_SECONDS
    slow_client = seen.count >= bounds.CACHE_CALLS_MIN and (
        seen.quantile(0.95) > bounds.CACHE_SLOW_SECONDS
        or failed > bounds.CACHE_FAILED_SHARE * seen.count
    )
    if not (down or slow_server or slow_client):
        return None
    late = seen.above(bounds.CACHE_SLOW_SECONDS) * seen.quantile(0.95)
    reported = {
        "cache call, p95": milliseconds(seen.quantile(0.95)),
        "calls failed": f"{failed:.0f}",
    }
    if cache is not None:
        reported |= {
            "command in the server": milliseconds(cache.command_seconds),
            "up": percent(cache.up),
        }
    return Diagnosis(
        rule="cache-slow",
        diagnosis="the cache does not respond" if down else "the cache responds slowly",
        change="look for large keys and slow commands (redis-cli info commandstats); keep the "
        "client's timeouts short, so that a slow cache costs no more than a miss",
        signals=reported,
        effect=(late + failed * figures.CACHE_TIMEOUT_SECONDS) / signals.seconds + down,
    )


def _misses_often(signals: Signals) -> bool:
    cache = signals.cache
    return (
        cache is not None
        and cache.lookups > bounds.CACHE_LOOKUPS_PER_SECOND * signals.seconds
        and cache.hit_ratio < bounds.CACHE_HITS
        # If the values do not come from the database, the cost of a miss is unknown.
        and (not held(signals).count or _loads(signals) > bounds.CACHE_LOADS)
    )


def _loads(signals: Signals) -> float:
    """The mean number of requests that load a missing key from the database."""
    if signals.cache is None:
        return 0.0
    return signals.cache.misses / signals.seconds * held(signals).mean


def _cache_signals(signals: Signals) -> dict[str, str]:
    if signals.cache is None:
        return {}
    return {
        "hit ratio": percent(signals.cache.hit_ratio),
        "lookups": f"{signals.cache.lookups / signals.seconds:.0f}/s",
    }
