"""Rules on the ways to the database: pools, pooler, and the database itself."""

import math

from fastapi_operator import quantity
from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis, cores, milliseconds, more
from fastapi_operator.observability.diagnoses.queues import held, queued, queues_for_pool
from fastapi_operator.observability.signals import AppPod, Pool, Signals


def pool_too_small(signals: Signals) -> Diagnosis | None:
    """Row 8: requests wait for the app's own pool alone."""
    pods = _waiting_for_the_pool(signals)
    if not pods or _database_is_full(signals) or _held_too_long(signals):
        return None
    worst, pool = max(pods, key=lambda found: found[1].waiting)
    return Diagnosis(
        rule="pool-too-small",
        diagnosis="requests wait for a connection of the app's own pool, and the database is free",
        change="declare how long a request holds a connection: the pool is sized from it, within "
        "the connection budget",
        signals=_pool(pool),
        effect=sum(pool.waiting for _, pool in pods),
        pod=worst.pod,
        field="spec.traffic.databaseMillisecondsPerRequest",
        value=max(1, math.ceil(_held_milliseconds(signals))),
    )


def connection_held(signals: Signals) -> Diagnosis | None:
    """Row 9: connections are held while nothing is asked of the database."""
    pods = _waiting_for_the_pool(signals)
    if not pods or _database_is_full(signals) or not _held_too_long(signals):
        return None
    worst, pool = max(pods, key=lambda found: found[1].waiting)
    return Diagnosis(
        rule="connection-held",
        diagnosis="connections are held much longer than their statements take: across another "
        "await, or by a session that is not closed",
        change="end the transaction before calling others; a larger pool only moves the queue",
        signals=_pool(pool)
        | {"statements of a checkout": milliseconds(_statement_seconds(signals) or 0)},
        effect=sum(pool.waiting for _, pool in pods),
        pod=worst.pod,
    )


def pooler_too_small(signals: Signals) -> Diagnosis | None:
    """Row 10: clients wait in the pooler, and the database is free."""
    pooler, planned = signals.pooler, signals.planned
    if pooler is None or _database_is_full(signals):
        return None
    waits = pooler.max_wait_seconds > bounds.POOLER_WAIT_SECONDS
    if not waits and pooler.waiting < bounds.POOLER_WAITING:
        return None
    if planned.database_mode == "External":
        change: tuple[str, int | str] = (
            "spec.postgres.maxConnections",
            more(planned.max_connections),
        )
    else:
        change = "spec.postgres.resources.requests.cpu", _more_cores(planned.database_cores)
    return Diagnosis(
        rule="pooler-too-small",
        diagnosis="clients wait in PgBouncer for a server connection, and the database is free",
        change="a quarter more server connections; they follow from what the database may execute",
        signals={
            "clients waiting": f"{pooler.waiting:.1f}",
            "longest wait": f"{pooler.max_wait_seconds:.2f} s",
            "server connections in use": f"{pooler.servers:.1f}",
            **_database(signals),
        },
        effect=pooler.waiting + queued(signals),
        field=change[0],
        value=change[1],
    )


def database_saturated(signals: Signals) -> Diagnosis | None:
    """Row 11: the database executes more than its cores can."""
    if not _database_is_full(signals):
        return None
    waiting = signals.pooler.waiting if signals.pooler else 0.0
    busy = signals.database.busy if signals.database else 0.0
    return Diagnosis(
        rule="database-saturated",
        diagnosis="the database executes more at once than its cores can: everything waits for "
        "everything",
        change="find the statement that takes most of the time (pg_stat_statements) and mend it, "
        "or cache its answer; then give the database more CPU. Never more connections",
        signals={"clients waiting in PgBouncer": f"{waiting:.1f}", **_database(signals)},
        effect=waiting + queued(signals) + max(0.0, busy - signals.planned.database_cores),
        field="spec.postgres.resources.requests.cpu" if signals.planned.database_mode else "",
        value=_more_cores(signals.planned.database_cores),
    )


def _waiting_for_the_pool(signals: Signals) -> list[tuple[AppPod, Pool]]:
    return [
        (pod, pod.pool)
        for pod in signals.app
        if pod.pool is not None and queues_for_pool(pod.pool) and pod.pool.peak >= pod.pool.size
    ]


def _statement_seconds(signals: Signals) -> float | None:
    """What the statements of a checkout take; None where nobody measures it."""
    checkouts = held(signals).count
    if not checkouts:
        return None
    if signals.pooler is not None and signals.pooler.query_seconds:
        return signals.pooler.query_seconds / checkouts
    if signals.database is not None and signals.database.query_seconds:
        return signals.database.query_seconds / checkouts
    return None


def _held_too_long(signals: Signals) -> bool:
    statements = _statement_seconds(signals)
    return statements is not None and held(signals).mean > bounds.HELD_FACTOR * statements


def _database_is_full(signals: Signals) -> bool:
    database, cores = signals.database, signals.planned.database_cores
    if database is None:
        return False
    if database.cpu is not None and database.cpu > bounds.DATABASE_CPU_USED * cores:
        return True
    return database.busy > bounds.DATABASE_ACTIVE_PER_CORE * cores


def _more_cores(present: float) -> str:
    return quantity.format_cpu(more(1000 * present))


def _held_milliseconds(signals: Signals) -> float:
    """How long a request holds a connection, on average over all requests."""
    spent = 1000 * held(signals).total
    return spent / signals.requests if signals.requests else 0.0


def _pool(pool: Pool) -> dict[str, str]:
    return {
        "wait for a connection, p95": milliseconds(pool.waits.quantile(0.95)),
        "connection held, mean": milliseconds(pool.holds.mean),
        "connections": f"{pool.peak:.0f} of {pool.size:.0f}",
        "checkouts that gave up": f"{pool.timeouts:.0f}",
    }


def _database(signals: Signals) -> dict[str, str]:
    if signals.database is None:
        return {}
    shown = {
        "statements executing": f"{signals.database.active:.1f}",
        "cores of the database": f"{signals.planned.database_cores:g}",
    }
    if signals.database.cpu is not None:
        shown["CPU of the database"] = cores(signals.database.cpu)
    return shown
