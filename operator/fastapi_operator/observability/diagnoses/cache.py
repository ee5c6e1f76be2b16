"""Rules on the cache."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import (
    Diagnosis,
    milliseconds,
    more_memory,
    percent,
)
from fastapi_operator.observability.diagnoses.queues import held, queued
from fastapi_operator.observability.samples import NOTHING
from fastapi_operator.observability.signals import Signals
from fastapi_operator.tuning import figures


def cache_too_small(signals: Signals) -> Diagnosis | None:
    """Row 26: the cache evicts what is asked for."""
    cache = signals.cache
    if cache is None or not _misses_much(signals) or not cache.evicted:
        return None
    return Diagnosis(
        rule="cache-too-small",
        diagnosis="the cache throws out keys that are asked for again",
        change="more memory, or shorter lives for what is seldom read",
        signals=_cache(signals)
        | {
            "evicted": f"{cache.evicted / signals.seconds:.0f}/s",
            "memory": f"{cache.used_bytes / figures.MIB:.0f} of "
            f"{cache.max_bytes / figures.MIB:.0f} MiB",
        },
        effect=_loads(signals),
        field="spec.redis.memory" if signals.planned.cache_mode == "Managed" else "",
        value=more_memory(signals.planned.cache_memory_bytes)
        if signals.planned.cache_mode == "Managed"
        else None,
    )


def cache_misses(signals: Signals) -> Diagnosis | None:
    """Row 27: look-ups miss although there is room."""
    cache = signals.cache
    if cache is None or not _misses_much(signals) or cache.evicted:
        return None
    return Diagnosis(
        rule="cache-misses",
        diagnosis="most look-ups miss although the cache has room: keys are never asked for "
        "again, or expire too soon",
        change="look at how keys are made and how long they live; more memory does not help",
        signals=_cache(signals) | {"expired": f"{cache.expired / signals.seconds:.0f}/s"},
        effect=_loads(signals),
    )


def cache_refuses_writes(signals: Signals) -> Diagnosis | None:
    """Row 28: the cache is full and evicts nothing."""
    cache = signals.cache
    if cache is None or not cache.refused:
        return None
    return Diagnosis(
        rule="cache-refuses-writes",
        diagnosis="the cache is full and refuses writes: its policy evicts nothing",
        change="set maxmemory-policy allkeys-lru where the cache is run; a managed one has it",
        signals=_cache(signals) | {"writes refused": f"{cache.refused / signals.seconds:.1f}/s"},
        effect=_loads(signals),
    )


def cache_stampede(signals: Signals) -> Diagnosis | None:
    """Row 29: many requests load what has just expired."""
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
        diagnosis="when a key expires, many requests load it from the database at the same time",
        change="one load a key at a time (single flight), lives spread at random, and a refresh "
        "before the end",
        signals={
            "database work in a quarter of the time": percent(bursts.database),
            "requests in their busiest quarter": percent(bursts.requests),
            "checkouts at most": f"{bursts.peak_per_second:.0f}/s",
            "keys expired": f"{signals.cache.expired:.0f}",
        },
        effect=queued(signals) + held(signals).total / signals.seconds,
    )


def cache_slow(signals: Signals) -> Diagnosis | None:
    """Row 30: the cache answers late or not at all."""
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
    shown = {"cache call, p95": milliseconds(seen.quantile(0.95)), "calls failed": f"{failed:.0f}"}
    if cache is not None:
        shown |= {
            "command in the server": milliseconds(cache.command_seconds),
            "up": percent(cache.up),
        }
    return Diagnosis(
        rule="cache-slow",
        diagnosis="the cache does not answer" if down else "the cache answers late",
        change="look for large keys and slow commands (redis-cli info commandstats); keep its "
        "timeouts short, so that a slow cache costs no more than a miss",
        signals=shown,
        effect=(late + failed * figures.CACHE_TIMEOUT_SECONDS) / signals.seconds + down,
    )


def _misses_much(signals: Signals) -> bool:
    cache = signals.cache
    return (
        cache is not None
        and cache.lookups > bounds.CACHE_LOOKUPS_PER_SECOND * signals.seconds
        and cache.hit_ratio < bounds.CACHE_HITS
        # What else than a database is loaded from cannot be told.
        and (not held(signals).count or _loads(signals) > bounds.CACHE_LOADS)
    )


def _loads(signals: Signals) -> float:
    """Requests that load from the database, on average, what the cache did not have."""
    if signals.cache is None:
        return 0.0
    return signals.cache.misses / signals.seconds * held(signals).mean


def _cache(signals: Signals) -> dict[str, str]:
    if signals.cache is None:
        return {}
    return {
        "hit ratio": percent(signals.cache.hit_ratio),
        "look-ups": f"{signals.cache.lookups / signals.seconds:.0f}/s",
    }
