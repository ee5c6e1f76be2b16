"""The table of rules, and the diagnoses of a service ordered by their effect.

If one diagnosis explains another, the other is left out: for example, more connections do not help
if the event loop is blocked.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses import cache, database, outliers, processes, proxy
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.signals import Signals
from fastapi_operator.observability.units import milliseconds, percent


@dataclass(frozen=True)
class Rule:
    """A rule of ``doctor``.

    Attributes:
        name: Its name.
        find: Looks for the cause in the signals.
        condition: The signals that it looks for, for the documentation.
        remedy: The remedy in short, for the documentation.
        explains: Rules whose signals follow from this cause.
        blurs: Rules whose signals this cause exaggerates.
    """

    name: str
    find: Callable[[Signals], Diagnosis | None]
    condition: str
    remedy: str
    explains: frozenset[str] = frozenset()
    blurs: frozenset[str] = frozenset()


# A late event loop makes the waits that the app measures look longer than they are.
_MEASURED_BY_THE_APP = frozenset({"pool-too-small", "connection-held", "cache-slow"})
_NOT_ON_CPU = frozenset({"blocking-call", "cpu-starved"})
_BEHIND_THE_POOL = frozenset({"pool-too-small", "connection-held"})
_LOADED = _BEHIND_THE_POOL | {"pooler-too-small", "database-saturated", "cache-misses"}

RULES = (
    Rule(
        "blocking-call",
        processes.blocking_call,
        f"event loop lag above {milliseconds(bounds.LOOP_LAG_BLOCKED_SECONDS)} (p99), each worker "
        f"below {bounds.WORKER_CPU_IDLE:g} cores, no throttling",
        "fix the call that `profile` shows",
        blurs=_MEASURED_BY_THE_APP,
    ),
    Rule(
        "event-loop-busy",
        processes.event_loop_busy,
        f"event loop lag above {milliseconds(bounds.LOOP_LAG_BUSY_SECONDS)} (p99), a worker above "
        f"{bounds.WORKER_CPU_BUSY:g} cores",
        "more pods",
        blurs=_MEASURED_BY_THE_APP,
    ),
    Rule(
        "too-many-workers",
        processes.too_many_workers,
        f"more than {percent(bounds.THROTTLED_SOME)} throttled, more workers than whole cores of "
        "the limit",
        "fewer workers",
        explains=_NOT_ON_CPU,
        blurs=_MEASURED_BY_THE_APP,
    ),
    Rule(
        "cpu-limit-too-low",
        processes.cpu_limit_too_low,
        f"more than {percent(bounds.THROTTLED_SOME)} throttled, at most one worker per core",
        "a higher limit, or none",
        explains=_NOT_ON_CPU,
        blurs=_MEASURED_BY_THE_APP,
    ),
    Rule(
        "cpu-starved",
        processes.cpu_starved,
        f"event loop lag above {milliseconds(bounds.LOOP_LAG_BUSY_SECONDS)} (p99), mostly because "
        "a runnable worker waits for a CPU",
        "a higher CPU request",
        blurs=_MEASURED_BY_THE_APP,
    ),
    Rule(
        "threads-exhausted",
        processes.threads_exhausted,
        "calls wait for a thread, all threads are busy, CPU and pool have capacity",
        "more threads",
    ),
    Rule(
        "threads-contend",
        processes.threads_contend,
        f"as `event-loop-busy`, with at least {percent(bounds.THREADS_MANY)} of the threads busy",
        "fewer threads, more pods",
        explains=frozenset({"event-loop-busy"}),
        blurs=_MEASURED_BY_THE_APP,
    ),
    Rule(
        "memory-limit-too-low",
        processes.memory_limit_too_low,
        "a container of the app was OOM-killed",
        "a quarter more memory",
        explains=frozenset({"keep-alive-race"}),
    ),
    Rule(
        "pods-uneven",
        processes.pods_uneven,
        f"a pod uses {bounds.UNEVEN_FACTOR:g} times the mean CPU and receives as many more "
        "requests",
        "end long-lived connections",
    ),
    Rule(
        "pool-too-small",
        database.pool_too_small,
        f"checkouts wait longer than {milliseconds(bounds.POOL_WAIT_SECONDS)} (p95), the pool is "
        "used up, the database has capacity",
        "declare how long a request holds a connection",
    ),
    Rule(
        "connection-held",
        database.connection_held,
        f"as `pool-too-small`, and connections are held more than {bounds.HELD_FACTOR} times as "
        "long as their statements take",
        "shorter transactions",
    ),
    Rule(
        "pooler-too-small",
        database.pooler_too_small,
        "clients wait in PgBouncer, the database has capacity",
        "a quarter more server connections",
        explains=_BEHIND_THE_POOL,
    ),
    Rule(
        "database-saturated",
        database.database_saturated,
        f"more than {bounds.DATABASE_ACTIVE_PER_CORE} statements execute per core, or the "
        f"database uses more than {percent(bounds.DATABASE_CPU_USED)} of its CPU",
        "fix the statement; do not add connections",
        explains=_BEHIND_THE_POOL,
    ),
    Rule(
        "cache-too-small",
        cache.cache_too_small,
        f"hit ratio below {percent(bounds.CACHE_HITS)}, keys are evicted",
        "a quarter more memory",
    ),
    Rule(
        "cache-misses",
        cache.cache_misses,
        f"hit ratio below {percent(bounds.CACHE_HITS)}, no key is evicted",
        "check keys and their time to live",
    ),
    Rule(
        "cache-refuses-writes",
        cache.cache_refuses_writes,
        "the cache is out of memory and rejects writes",
        "a policy that evicts",
        explains=frozenset({"cache-misses"}),
    ),
    Rule(
        "cache-stampede",
        cache.cache_stampede,
        f"{percent(bounds.BURST_SHARE)} of the database's work and of the cache's misses are in "
        "a quarter of the window, and the requests are evenly distributed",
        "single flight, random time to live",
        explains=_LOADED,
    ),
    Rule(
        "cache-slow",
        cache.cache_slow,
        f"cache calls take longer than {milliseconds(bounds.CACHE_SLOW_SECONDS)} (p95) or fail",
        "find slow commands",
        # Without its cache a service reads everything from the database.
        explains=_LOADED | {"cache-stampede"},
    ),
    Rule(
        "keep-alive-race",
        proxy.keep_alive_race,
        "occasional 502, and the proxy's log reports connections that the app closed",
        "keep connections open longer in the app",
    ),
    Rule(
        "overloaded",
        proxy.overloaded,
        f"more than {percent(bounds.SHED)} of the requests are rejected with 503 by the proxy, by "
        "processes or by their pools",
        "the other findings first; then more pods or CPU",
    ),
)


def diagnose(signals: Signals) -> tuple[Diagnosis, ...]:
    """Returns the diagnoses of a service, the one with the largest effect first, symptoms last.

    It is empty if all signals are normal. If some are not and no rule matches, there is exactly one
    diagnosis, ``unknown``, with the outliers as its signals.
    """
    found = {rule: diagnosis for rule in RULES if (diagnosis := rule.find(signals)) is not None}
    kept = [
        diagnosis
        for rule, diagnosis in found.items()
        if not any(_explains(other, found[other], rule, diagnosis) for other in found)
    ]
    if kept:
        return by_effect(kept)
    unknown = outliers.find(signals)
    return (unknown,) if unknown is not None else ()


def by_effect(found: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Returns diagnoses as they are shown: the largest effect first, and symptoms last."""
    return tuple(sorted(found, key=lambda item: (item.is_symptom, -item.effect, item.rule)))


def _explains(cause: Rule, diagnosis: Diagnosis, other: Rule, also: Diagnosis) -> bool:
    """Whether a cause explains the diagnosis of another rule, or exaggerates its signals."""
    if other.name in cause.explains:
        return True
    return other.name in cause.blurs and also.effect <= bounds.BLUR_FACTOR * diagnosis.effect
