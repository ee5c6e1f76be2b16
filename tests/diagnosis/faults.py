"""The faults: their cause, their size, and the expected diagnosis.

Sizes are random within bounds, so that thresholds are not fitted to one number.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.diagnosis.load import Load

HEALTHY = "none"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: Its name in the report.
        expected: The rule of the first diagnosis; ``unknown``, or ``none``.
        load: The requests of the clients.
        alert: The alert that must fire; empty if there is none.
        page: The runbook of the alert.
        culprit: A pattern that the output of its commands and queries must match.
        drawn: The random values, for the report.
        environment: Variables of the app.
        spec: Fields of the service.
        other_pod: Different variables of the second pod.
        arguments: Further arguments of Uvicorn.
        server_connections: Connections of PgBouncer to the database.
        cache_delay_seconds: The delay of the cache's responses.
        proxy_delay_seconds: The delay of the app's responses to nginx.
        memory_bytes: The growth of a pod at which the kernel kills it; 0 means no limit.
        wave_seconds: If it is not 0, all clients send requests through nginx at once, so often.
        warm_seconds: How long clients send requests before the window begins.
        seconds: The shortest window in which the fault is visible.
    """

    name: str
    expected: str
    load: Load
    alert: str = ""
    page: str = ""
    culprit: str = ""
    drawn: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    other_pod: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    server_connections: int = 30
    cache_delay_seconds: float = 0.0
    proxy_delay_seconds: float = 0.0
    memory_bytes: int = 0
    wave_seconds: float = 0.0
    warm_seconds: float = 3.0
    seconds: float = 6.0


def _blocking_call(chance: random.Random) -> Fault:
    seconds = chance.uniform(0.12, 0.35)
    return Fault(
        name="time.sleep in async def",
        expected="blocking-call",
        alert="FastAPIEventLoopBlocked",
        page="event-loop-blocked",
        culprit=r"app\.py:blocking",
        load=Load("/blocking", clients=3, pause_seconds=0.1, share=0.3),
        drawn={"seconds": seconds},
        environment={"FAULT_SECONDS": seconds},
    )


def _threads_exhausted(chance: random.Random) -> Fault:
    threads, seconds = chance.randint(4, 10), chance.uniform(0.08, 0.25)
    return Fault(
        name="too few threads",
        expected="threads-exhausted",
        alert="FastAPIThreadPoolExhausted",
        page="thread-pool-exhausted",
        culprit=r"app\.py:threads",
        load=Load("/threads", clients=threads + chance.randint(4, 8), pause_seconds=0.02),
        drawn={"threads": threads, "seconds": seconds},
        environment={"FAULT_SECONDS": seconds},
        spec={"server": {"threads": threads}},
    )


def _pool_too_small(chance: random.Random) -> Fault:
    seconds = chance.uniform(0.04, 0.1)
    return Fault(
        name="a pool for shorter statements",
        expected="pool-too-small",
        alert="FastAPIPoolWait",
        page="pool-wait",
        culprit=r"^\{\} \d\d?(\.\d+)?E\+0",
        load=Load("/query", clients=chance.randint(18, 26), pause_seconds=0.03),
        drawn={"seconds": seconds},
        environment={"FAULT_SECONDS": seconds},
        # The declared time is far too short.
        spec={"traffic": {"databaseMillisecondsPerRequest": 1}},
    )


def _pooler_too_small(chance: random.Random) -> Fault:
    servers, seconds = chance.randint(1, 3), chance.uniform(0.03, 0.08)
    return Fault(
        name="few server connections in PgBouncer",
        expected="pooler-too-small",
        alert="FastAPIPoolerClientsWaiting",
        page="pooler-clients-waiting",
        culprit=r"postgres +\| app +\| +\d+ \| +[1-9]",
        load=Load("/query", clients=9, pause_seconds=0.02),
        drawn={"server connections": servers, "seconds": seconds},
        environment={"FAULT_SECONDS": seconds},
        server_connections=servers,
    )


def _database_saturated(chance: random.Random) -> Fault:
    rows = chance.randint(300_000, 900_000)
    return Fault(
        name="expensive statements",
        expected="database-saturated",
        alert="FastAPIDatabaseSaturated",
        page="database-saturated",
        culprit=r"generate_series",
        load=Load("/compute", clients=8, pause_seconds=0.02),
        drawn={"rows": rows},
        environment={"FAULT_ROWS": rows},
    )


def _memory_limit(chance: random.Random) -> Fault:
    limit, piece = chance.randint(30, 90) * 2**20, chance.randint(1, 4) * 2**20
    return Fault(
        name="a memory limit that the app exceeds",
        expected="memory-limit-too-low",
        alert="FastAPIOutOfMemory",
        load=Load("/memory", clients=3, pause_seconds=0.05, share=0.3),
        drawn={"room in MiB": limit / 2**20},
        environment={"FAULT_PIECE_BYTES": piece},
        memory_bytes=limit,
    )


def _keep_alive_race(chance: random.Random) -> Fault:
    idle, latency = chance.randint(1, 2), chance.uniform(0.003, 0.008)
    return Fault(
        name="connections closed before nginx closes them",
        expected="keep-alive-race",
        alert="FastAPIProxyErrors",
        page="proxy-errors",
        culprit=r'"upstream_connect_seconds":"[^"]*[0-9]","upstream_bytes":"([^"]*, )?0"',
        load=Load("/orders", clients=chance.randint(30, 50), method="POST"),
        drawn={"idle seconds": idle, "network delay": latency},
        arguments=("--timeout-keep-alive", str(idle)),
        # The service has its own command, without the keep-alive.
        spec={"command": ["uvicorn"]},
        wave_seconds=float(idle),
        proxy_delay_seconds=latency,
        seconds=20,
    )


def _cache_too_small(chance: random.Random) -> Fault:
    keys, size = chance.randint(2000, 4000), chance.randint(30_000, 60_000)
    return Fault(
        name="more data than the cache holds",
        expected="cache-too-small",
        alert="FastAPICacheTooSmall",
        page="cache-too-small",
        culprit=r"used_memory_human:(29|3\d)\.",
        load=Load("/items", clients=5, pause_seconds=0.03),
        drawn={"keys": keys, "bytes": size},
        environment={"FAULT_KEYS": keys, "FAULT_BYTES": size, "FAULT_SECONDS": 0.002},
        warm_seconds=10,
    )


def _cache_stampede(chance: random.Random) -> Fault:
    ttl, seconds = chance.uniform(4, 6), chance.uniform(0.2, 0.4)
    return Fault(
        name="one key that all requests load",
        expected="cache-stampede",
        alert="FastAPICacheStampede",
        page="cache-stampede",
        culprit=r"^\{\} ([5-9](\.\d+)?E\+00|\d(\.\d+)?E\+0[1-9])",
        load=Load("/items", clients=15, pause_seconds=0.25),
        drawn={"lifetime": ttl, "seconds": seconds},
        environment={"FAULT_KEYS": 1, "FAULT_TTL_SECONDS": ttl, "FAULT_SECONDS": seconds},
        seconds=20,
    )


def _cache_slow(chance: random.Random) -> Fault:
    delay = chance.uniform(0.04, 0.12)
    return Fault(
        name="a cache behind a slow network",
        expected="cache-slow",
        alert="FastAPICacheSlow",
        page="cache-slow",
        culprit=r"^\{\} ([3-9](\.\d+)?E-02|\d(\.\d+)?E-01)",
        load=Load("/items", clients=4),
        drawn={"delay": delay},
        environment={"FAULT_SECONDS": 0.005},
        cache_delay_seconds=delay,
    )


def _failing(chance: random.Random) -> Fault:
    share = chance.uniform(0.1, 0.4)
    return Fault(
        name="an occasional exception",
        expected=UNKNOWN,
        alert="FastAPIServerErrors",
        load=Load("/failing", clients=3, share=0.6),
        drawn={"share": share},
        environment={"FAULT_SHARE": share},
        seconds=8,
    )


def _waiting(chance: random.Random) -> Fault:
    seconds = chance.uniform(1.5, 3)
    return Fault(
        name="another service that is slow",
        expected=UNKNOWN,
        load=Load("/waiting", clients=12, share=0.6),
        drawn={"seconds": seconds},
        # Few keys, so that the cache is warm before the window begins: a miss is as slow here.
        environment={"FAULT_SECONDS": seconds, "FAULT_KEYS": 3},
        warm_seconds=9,
        seconds=12,
    )


def _slow_pod(chance: random.Random) -> Fault:
    seconds = chance.uniform(0.3, 0.7)
    return Fault(
        name="one slow pod of two",
        expected=UNKNOWN,
        load=Load("/waiting", clients=5),
        drawn={"seconds": seconds},
        environment={"FAULT_SECONDS": 0.01},
        other_pod={"FAULT_SECONDS": seconds},
    )


def _healthy(_chance: random.Random) -> Fault:
    return Fault(
        name="no fault",
        expected=HEALTHY,
        load=Load("/items", clients=3, pause_seconds=0.08),
        environment={"FAULT_SECONDS": 0.005},
    )


# By the expected rule; then the faults that no rule covers.
FAULTS: Mapping[str, Callable[[random.Random], Fault]] = {
    "blocking-call": _blocking_call,
    "threads-exhausted": _threads_exhausted,
    "pool-too-small": _pool_too_small,
    "pooler-too-small": _pooler_too_small,
    "database-saturated": _database_saturated,
    "memory-limit-too-low": _memory_limit,
    "keep-alive-race": _keep_alive_race,
    "cache-too-small": _cache_too_small,
    "cache-stampede": _cache_stampede,
    "cache-slow": _cache_slow,
    "unknown-errors": _failing,
    "unknown-route": _waiting,
    "unknown-pod": _slow_pod,
    "healthy": _healthy,
}
