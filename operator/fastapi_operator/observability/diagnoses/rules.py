"""Why a service is slow: the rules that fit its signals, in order of their effect.

A rule is a row of the table in docs/observability.md. Where one explains what another would see
as well, the other is left out: more connections do not help an event loop that is blocked.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses import cache, database, outliers, processes, proxy
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis
from fastapi_operator.observability.signals import Signals


@dataclass(frozen=True)
class Rule:
    """A row of the table.

    Attributes:
        name: What it is called.
        row: Its number in the table of the documentation.
        find: Looks for it in the signals.
        explains: Rules whose signals follow from this one.
        blurs: Rules whose signals this one makes look worse than they are.
    """

    name: str
    row: int
    find: Callable[[Signals], Diagnosis | None]
    explains: frozenset[str] = frozenset()
    blurs: frozenset[str] = frozenset()


# What the app measures of others is only as true as its own event loop is on time.
_SEEN_LATE = frozenset({"pool-too-small", "connection-held", "cache-slow"})
_NOT_ON_CPU = frozenset({"blocking-call", "cpu-starved"})
_BEHIND_THE_POOL = frozenset({"pool-too-small", "connection-held"})
_LOADED = _BEHIND_THE_POOL | {"pooler-too-small", "database-saturated", "cache-misses"}

RULES = (
    Rule("blocking-call", 1, processes.blocking_call, blurs=_SEEN_LATE),
    Rule("event-loop-busy", 2, processes.event_loop_busy, blurs=_SEEN_LATE),
    Rule("too-many-workers", 3, processes.too_many_workers, _NOT_ON_CPU, _SEEN_LATE),
    Rule("cpu-limit-too-low", 4, processes.cpu_limit_too_low, _NOT_ON_CPU, _SEEN_LATE),
    Rule("threads-exhausted", 5, processes.threads_exhausted),
    Rule(
        "threads-contend",
        7,
        processes.threads_contend,
        frozenset({"event-loop-busy"}),
        _SEEN_LATE,
    ),
    Rule("pool-too-small", 8, database.pool_too_small),
    Rule("connection-held", 9, database.connection_held),
    Rule("pooler-too-small", 10, database.pooler_too_small, _BEHIND_THE_POOL),
    Rule("database-saturated", 11, database.database_saturated, _BEHIND_THE_POOL),
    Rule(
        "memory-limit-too-low", 18, processes.memory_limit_too_low, frozenset({"keep-alive-race"})
    ),
    Rule("keep-alive-race", 24, proxy.keep_alive_race),
    Rule("cache-too-small", 26, cache.cache_too_small),
    Rule("cache-misses", 27, cache.cache_misses),
    Rule("cache-refuses-writes", 28, cache.cache_refuses_writes, frozenset({"cache-misses"})),
    Rule("cache-stampede", 29, cache.cache_stampede, _LOADED),
    # Without its cache a service asks the database for everything.
    Rule("cache-slow", 30, cache.cache_slow, _LOADED | {"cache-stampede"}),
    Rule("pods-uneven", 32, processes.pods_uneven),
    Rule("cpu-starved", 33, processes.cpu_starved, blurs=_SEEN_LATE),
)


def diagnose(signals: Signals) -> tuple[Diagnosis, ...]:
    """The diagnoses of a service, the one with the largest effect first.

    Empty where nothing is wrong. Where something is and no rule fits, there is exactly one, named
    ``unknown``, whose signals are what stands out.
    """
    found = {rule: diagnosis for rule in RULES if (diagnosis := rule.find(signals)) is not None}
    kept = [
        diagnosis
        for rule, diagnosis in found.items()
        if not any(_accounts(other, found[other], rule, diagnosis) for other in found)
    ]
    if kept:
        return tuple(sorted(kept, key=lambda item: (-item.effect, item.rule)))
    unknown = outliers.find(signals)
    return (unknown,) if unknown is not None else ()


def _accounts(cause: Rule, seen: Diagnosis, other: Rule, also: Diagnosis) -> bool:
    """Whether what the other rule sees is there because of a cause, or only looks so."""
    if other.name in cause.explains:
        return True
    return other.name in cause.blurs and also.effect <= bounds.BLUR_FACTOR * seen.effect
