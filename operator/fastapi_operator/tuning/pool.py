"""The connection pool of each process: to PgBouncer, or to the database itself."""

import math
from typing import Any

from fastapi_operator.api.compute import Traffic
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, decide
from fastapi_operator.tuning.plan import DatabasePlan, PoolPlan


def pooled_plan(traffic: Traffic, database: DatabasePlan) -> PoolPlan:
    """The pool that each process opens to PgBouncer; how many processes there are is no matter."""
    service_connections = database.service_connections
    size = decide(
        "pool.size",
        _size,
        unit="connections",
        **_held(traffic),
        service_connections=service_connections,
        effect=effects.APP_ROLLOUT,
    )
    return PoolPlan(
        size=size,
        max_overflow=decide(
            "pool.max_overflow",
            _max_overflow,
            unit="connections",
            size=size,
            service_connections=service_connections,
            effect=effects.APP_ROLLOUT,
        ),
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
    size = decide(
        "pool.size",
        _direct_size,
        unit="connections",
        **_held(traffic),
        connections=connections,
        processes=processes,
        effect=effects.APP_ROLLOUT,
    )
    return PoolPlan(
        size=size,
        max_overflow=decide(
            "pool.max_overflow",
            _direct_overflow,
            unit="connections",
            size=size,
            connections=connections,
            processes=processes,
            effect=effects.APP_ROLLOUT,
        ),
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
        "database_milliseconds": traffic.database_milliseconds_per_request,
        "cpu_milliseconds": traffic.cpu_milliseconds_per_request
        or figures.CPU_MILLISECONDS_PER_REQUEST,
    }


def _needed(database_milliseconds: int | None, cpu_milliseconds: int) -> Because[int]:
    if database_milliseconds is None:
        return Because(
            figures.POOL_SIZE_UNKNOWN,
            "spec.traffic.databaseMillisecondsPerRequest is not set, so SQLAlchemy's default",
        )
    rate = figures.FLEET_BUSY * 1000 / cpu_milliseconds
    wanted = math.ceil(figures.POOL_MARGIN * rate * database_milliseconds / 1000)
    return Because(
        max(wanted, figures.POOL_SIZE_MIN),
        f"Little's law: {rate:.0f} requests a second on a process, each holding a connection for "
        "{database_milliseconds} ms, and half as many again",
    )


def _size(
    *, database_milliseconds: int | None, cpu_milliseconds: int, service_connections: int
) -> Because[int]:
    needed = _needed(database_milliseconds, cpu_milliseconds)
    return Because(
        min(needed.value, service_connections),
        f"{needed.reason}; at most the {{service_connections}} that the database executes",
    )


def _direct_size(
    *,
    database_milliseconds: int | None,
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


def _max_overflow(*, size: int, service_connections: int) -> Because[int]:
    return Because(
        min(size, service_connections - size),
        "a burst may double the pool of {size}, up to the {service_connections} that the database "
        "executes",
    )


def _direct_overflow(*, size: int, connections: int, processes: int) -> Because[int]:
    return Because(
        max(0, min(size, _share(connections, processes) - size)),
        "a burst may double the pool of {size}, within the share of {processes} processes in "
        "{connections} connections",
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
