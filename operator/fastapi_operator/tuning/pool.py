"""The connection pool of each process: to PgBouncer, or to the database itself."""

import math

from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import PoolPlan
from fastapi_operator.tuning.profile import ProfiledSpec

POOL = Group("pool", effects.APP_ROLLOUT)


def pool_plan(profiled: ProfiledSpec, connections: int, processes: int | None = None) -> PoolPlan:
    """Decides the pool that each process opens.

    Args:
        profiled: The spec and its profile.
        connections: The connections that the database executes or, without a pooler, that it has
            left for the app.
        processes: The processes at peak that share the connections; None with a pooler, which
            makes their number irrelevant.
    """
    load = profiled.load
    decided = POOL.decide(
        profiled,
        database_milliseconds=load.value(
            "database_milliseconds_per_request", figures.DATABASE_MILLISECONDS_PER_REQUEST
        ),
        cpu_milliseconds=load.value(
            "cpu_milliseconds_per_request", figures.CPU_MILLISECONDS_PER_REQUEST
        ),
        connections=connections,
        processes=processes,
        pooled=processes is None,
    )
    return PoolPlan(**decided)


@POOL.number(unit="connections", headline=True, tunable=True)
def _size(
    *,
    database_milliseconds: float,
    cpu_milliseconds: float,
    connections: int,
    processes: int | None,
) -> Because[int]:
    """⌈1.5 · (0.85/0.15 + 850/c · d/1000)⌉, at most S; without a pooler at most ⌊S / (R · W)⌋.

    A request holds its connection while the database works (Little's law) and while it waits for
    the event loop: at 85 % busy 5.7 requests wait (M/M/1), however short the query. The margin is
    half as many again. The database's time alone gave 2 connections and a tenth less throughput on
    a busy loop (measured).
    """
    # Of a queue with random arrivals (M/M/1), busy / (1 - busy) requests are present at once.
    busy = figures.LOOP_BUSY
    waiting, rate = busy / (1 - busy), busy * 1000 / cpu_milliseconds
    needed = math.ceil(figures.POOL_MARGIN * (waiting + rate * database_milliseconds / 1000))
    reason = (
        f"on an event loop {busy:.0%} busy {waiting:.1f} requests wait for the loop while they "
        f"hold a connection, and {rate:.0f} a second have the database work for "
        "{database_milliseconds} ms; half as many again; at most "
    )
    if processes is None:
        return Because(
            min(needed, connections), f"{reason}the {{connections}} that the database executes"
        )
    share = connections // max(1, processes)
    return Because(
        max(1, min(needed, share)),
        f"{reason}a share of the {{connections}} connections left for the {{processes}} processes "
        "of the app at peak",
    )


POOL.constant(
    "max_overflow",
    0,
    "a connection above the pool is opened for one burst and closed after it, which costs more "
    "than its queries; the pool has the margin instead",
    unit="connections",
    headline=True,
    evidence="measured: an overflow as large as the pool served less than the same number in it",
)


@POOL.number()
def _timeout_seconds(*, pooled: bool) -> Because[int]:
    """5.

    The first step of the timeouts. SQLAlchemy's default of 30 outlives the client.
    """
    next_step = (
        f"the pooler's queue of {figures.QUERY_WAIT_TIMEOUT_SECONDS} s"
        if pooled
        else f"the {figures.STATEMENT_TIMEOUT_SECONDS} s of a statement"
    )
    return Because(
        figures.POOL_TIMEOUT_SECONDS, f"the first of the timeouts: shorter than {next_step}"
    )


@POOL.number()
def _recycle_seconds(*, pooled: bool) -> Because[int]:
    """600; 1800 without a pooler.

    Connections spread again after the pooler was scaled. Without a pooler the age bounds the caches
    of a backend.
    """
    if pooled:
        return Because(
            figures.POOL_RECYCLE_SECONDS,
            "connections spread again over the pooler's pods within ten minutes",
        )
    return Because(
        figures.DIRECT_POOL_RECYCLE_SECONDS,
        "a connection's backend keeps caches that only grow; half an hour bounds them",
    )
