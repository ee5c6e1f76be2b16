"""Signals for tests: a healthy service, of which a test changes a part."""

import dataclasses
import math
from typing import Any

from fastapi_operator.observability.samples import Histogram
from fastapi_operator.observability.signals import (
    AppPod,
    Bursts,
    CacheServer,
    Calls,
    Database,
    Planned,
    Pool,
    Pooler,
    ProxyLog,
    Route,
    Signals,
    Threads,
)

SECONDS = 30.0


def lasting(seconds: float, count: float = 600) -> Histogram:
    """Observations that are all equal."""
    bounds = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
    return Histogram(
        tuple((bound, count if seconds <= bound else 0.0) for bound in bounds),
        seconds * count,
        count,
    )


POOL = Pool(size=10, peak=4, waits=lasting(0.0005), holds=lasting(0.004), waiting=0.01, timeouts=0)
POD = AppPod(
    pod="shop-a",
    workers=1,
    requests=lasting(0.02),
    in_flight=1.5,
    shed=0,
    cpu=0.3,
    lag_p99=0.002,
    late=0.01,
    cpu_wait=0.01,
    throttled=0.0,
    threads=Threads(used=2, allowed=40, waiting=0),
    pool=POOL,
    cache=Calls(lasting(0.0008), 0),
)
HEALTHY = Signals(
    seconds=SECONDS,
    planned=Planned(
        database_mode="Managed",
        cache_mode="Managed",
        cache_memory_bytes=256 * 2**20,
        memory_limit_bytes=256 * 2**20,
        keep_alive_seconds=75,
        max_connections=100,
    ),
    app=(POD, dataclasses.replace(POD, pod="shop-b")),
    routes=(Route("GET /items", lasting(0.02, 1200), 0),),
    pooler=Pooler(waiting=0.0, max_wait_seconds=0.0, servers=1, query_seconds=4),
    database=Database(active=0.5, busy=0.4, cpu=0.2, query_seconds=4),
    cache=CacheServer(
        up=1, hits=1100, misses=100, evicted=0, expired=90, refused=0,
        used_bytes=5e6, max_bytes=200e6, command_seconds=0.00003,
    ),
    proxy=ProxyLog(requests=1200, bad_gateways=0, closed_early=0),
    bursts=Bursts(database=0.3, requests=0.27, misses=0.3, peak_per_second=5),
)  # fmt: skip


def pods(**changed: Any) -> tuple[AppPod, ...]:
    """The app's pods, all with changed fields."""
    return tuple(dataclasses.replace(pod, **changed) for pod in HEALTHY.app)


def pool(**changed: Any) -> tuple[AppPod, ...]:
    """The app's pods, with changed fields of their pools."""
    return pods(pool=dataclasses.replace(POOL, **changed))


def part(name: str, **changed: Any) -> Any:
    """A part of the healthy service, with changed fields."""
    return dataclasses.replace(getattr(HEALTHY, name), **changed)


def signals(**changed: Any) -> Signals:
    """The healthy service, with changed signals."""
    return dataclasses.replace(HEALTHY, **changed)
