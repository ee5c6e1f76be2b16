"""The connection pool of each process: to PgBouncer, or to the database itself."""

import math
from typing import Any

from fastapi_operator.api.compute import Traffic
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, Decision, decide, fixed
from fastapi_operator.tuning.plan import DatabasePlan, PoolPlan


def pooled_plan(traffic: Traffic, database: DatabasePlan) -> PoolPlan:
    """The pool that each process opens to PgBouncer; how many processes there are is no matter."""
    return PoolPlan(
        size=decide(
            "pool.size",
            _size,
            unit="connections",
            **_held(traffic),
            service_connections=database.service_connections,
            effect=effects.APP_ROLLOUT,
        ),
        max_overflow=_no_overflow(),
        timeout_seconds=decide(
            "pool.timeout_seconds",
            _timeout,
            unit="seconds",
            pooled=True,
            effect=effects.APP_ROLLOUT,
        ),
        recycle_seconds=decide(
            "pool.recycle_seconds",
            _recycle,
            unit="seconds",
            pooled=True,
            effect=effects.APP_ROLLOUT,
        ),
    )


def direct_plan(traffic: Traffic, *, connections: int, processes: int) -> PoolPlan:
    """The pool that each process opens to the database: its share, however much it could use.

    Args:
        traffic: What the owner knows of the load.
        connections: What the database has left for the app.
        processes: The app's processes at peak, which share them.
    """
    return PoolPlan(
        size=decide(
            "pool.size",
            _direct_size,
            unit="connections",
            **_held(traffic),
            connections=connections,
            processes=processes,
            effect=effects.APP_ROLLOUT,
        ),
        max_overflow=_no_overflow(),
        timeout_seconds=decide(
            "pool.timeout_seconds",
            _timeout,
            unit="seconds",
            pooled=False,
            effect=effects.APP_ROLLOUT,
        ),
        recycle_seconds=decide(
            "pool.recycle_seconds",
            _recycle,
            unit="seconds",
            pooled=False,
            effect=effects.APP_ROLLOUT,
        ),
    )


def _held(traffic: Traffic) -> dict[str, Any]:
    """What decides how many connections a process holds at once."""
    return {
        "database_milliseconds": traffic.database_milliseconds_per_request
        or figures.DATABASE_MILLISECONDS_PER_REQUEST,
        "cpu_milliseconds": traffic.cpu_milliseconds_per_request
        or figures.CPU_MILLISECONDS_PER_REQUEST,
    }


def _needed(database_milliseconds: int, cpu_milliseconds: int) -> Because[int]:
    # A request keeps its connection while it waits for its turn on the event loop: of a queue
    # with random arrivals (M/M/1), busy/(1 - busy) are there at once.
    busy = figures.LOOP_BUSY
    waiting, rate = busy / (1 - busy), busy * 1000 / cpu_milliseconds
    held = waiting + rate * database_milliseconds / 1000
    return Because(
        math.ceil(figures.POOL_MARGIN * held),
        f"on an event loop {busy:.0%} busy {waiting:.1f} requests wait for their turn with a "
        f"connection in hand, and {rate:.0f} a second have the database work for "
        "{database_milliseconds} ms; and half as many again",
    )


def _size(
    *, database_milliseconds: int, cpu_milliseconds: int, service_connections: int
) -> Because[int]:
    needed = _needed(database_milliseconds, cpu_milliseconds)
    return Because(
        min(needed.value, service_connections),
        f"{needed.reason}; at most the {{service_connections}} that the database executes",
    )


def _direct_size(
    *,
    database_milliseconds: int,
    cpu_milliseconds: int,
    connections: int,
    processes: int,
) -> Because[int]:
    needed = _needed(database_milliseconds, cpu_milliseconds)
    return Because(
        max(1, min(needed.value, _share(connections, processes))),
        f"{needed.reason}; at most a share of the {{connections}} connections left for the "
        "{processes} processes of the app at peak",
    )


def _no_overflow() -> Decision[int]:
    return fixed(
        "pool.max_overflow",
        0,
        "a connection above the pool is opened for one burst and closed after it, which costs more "
        "than its queries; the pool has the margin instead",
        unit="connections",
        effect=effects.APP_ROLLOUT,
    )


def _share(connections: int, processes: int) -> int:
    return connections // max(1, processes)


def _timeout(*, pooled: bool) -> Because[int]:
    next_rung = (
        f"the pooler's queue of {figures.QUERY_WAIT_TIMEOUT_SECONDS} s"
        if pooled
        else f"a statement may run ({figures.STATEMENT_TIMEOUT_SECONDS} s)"
    )
    return Because(
        figures.POOL_TIMEOUT_SECONDS, f"the first rung of the ladder: shorter than {next_rung}"
    )


def _recycle(*, pooled: bool) -> Because[int]:
    if pooled:
        return Because(
            figures.POOL_RECYCLE_SECONDS,
            "connections spread again over the pooler's pods within ten minutes",
        )
    return Because(
        figures.DIRECT_POOL_RECYCLE_SECONDS,
        "a connection's backend keeps caches that only grow; half an hour bounds them",
    )
