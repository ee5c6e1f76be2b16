"""Rules on the database and the connections to it: pools, pooler and PostgreSQL."""

import math

from fastapi_operator import quantity
from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis, raised
from fastapi_operator.observability.diagnoses.queues import held, queued, queues_for_pool
from fastapi_operator.observability.signals import AppPod, Pool, Signals
from fastapi_operator.observability.units import cores, milliseconds


def pool_too_small(signals: Signals) -> Diagnosis | None:
    """Requests wait for the app's own pool, and only for it."""
    pods = _waiting_for_the_pool(signals)
    if not pods or _database_is_saturated(signals) or _held_too_long(signals):
        return None
    worst, pool = max(pods, key=lambda found: found[1].waiting)
    return Diagnosis(
        rule="pool-too-small",
        diagnosis="requests wait for a connection of the app's own pool, and the database has "
        "capacity",
        change="declare how long a request holds a connection: the pool size follows from it, "
        "within the connection budget",
        signals=_pool_signals(pool),
        effect=sum(pool.waiting for _, pool in pods),
        pod=worst.pod,
        field="spec.traffic.databaseMillisecondsPerRequest",
        value=max(1, math.ceil(_held_milliseconds(signals))),
    )


def connection_held(signals: Signals) -> Diagnosis | None:
    """Connections are held while no statement runs on them."""
    pods = _waiting_for_the_pool(signals)
    if not pods or _database_is_saturated(signals) or not _held_too_long(signals):
        return None
    worst, pool = max(pods, key=lambda found: found[1].waiting)
    return Diagnosis(
        rule="connection-held",
        diagnosis="connections are held much longer than their statements take, for example while "
        "the app awaits another service or does not close a session",
        change="end the transaction before calling other services; a larger pool only moves the "
        "queue",
        signals=_pool_signals(pool)
        | {"statements per checkout": milliseconds(_statement_seconds(signals) or 0)},
        effect=sum(pool.waiting for _, pool in pods),
        pod=worst.pod,
    )


def pooler_too_small(signals: Signals) -> Diagnosis | None:
    """Clients wait in the pooler, and the database has capacity."""
    pooler, planned = signals.pooler, signals.planned
    if pooler is None or _database_is_saturated(signals):
        return None
    waits = pooler.max_wait_seconds > bounds.POOLER_WAIT_SECONDS
    if not waits and pooler.waiting < bounds.POOLER_WAITING:
        return None
    if planned.database_mode == "External":
        proposal: tuple[str, int | str] = (
            "spec.postgres.maxConnections",
            raised(planned.max_connections),
        )
    else:
        proposal = "spec.postgres.resources.requests.cpu", _more_cores(planned.database_cores)
    return Diagnosis(
        rule="pooler-too-small",
        diagnosis="clients wait in PgBouncer for a server connection, and the database has "
        "capacity",
        change="add a quarter more server connections; their number follows from this field",
        signals={
            "clients waiting": f"{pooler.waiting:.1f}",
            "longest wait": f"{pooler.max_wait_seconds:.2f} s",
            "server connections in use": f"{pooler.servers:.1f}",
            **_database_signals(signals),
        },
        effect=pooler.waiting + queued(signals),
        field=proposal[0],
        value=proposal[1],
    )


def database_saturated(signals: Signals) -> Diagnosis | None:
    """The database executes more statements than its cores can process."""
    if not _database_is_saturated(signals):
        return None
    waiting = signals.pooler.waiting if signals.pooler else 0.0
    busy = signals.database.busy if signals.database else 0.0
    return Diagnosis(
        rule="database-saturated",
        diagnosis="the database is saturated: it executes more statements at once than its cores "
        "can process",
        change="find the statement that takes most of the time (pg_stat_statements) and fix it, or "
        "cache its result; then give the database more CPU. Do not add connections",
        signals={"clients waiting in PgBouncer": f"{waiting:.1f}", **_database_signals(signals)},
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
    """The time of the statements of one checkout; None if it is not measured."""
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


def _database_is_saturated(signals: Signals) -> bool:
    database, cores = signals.database, signals.planned.database_cores
    if database is None:
        return False
    if database.cpu is not None and database.cpu > bounds.DATABASE_CPU_USED * cores:
        return True
    return database.busy > bounds.DATABASE_ACTIVE_PER_CORE * cores


def _more_cores(present: float) -> str:
    return quantity.format_cpu(raised(1000 * present))


def _held_milliseconds(signals: Signals) -> float:
    """The mean time for which a request holds a connection, over all requests."""
    held_milliseconds = 1000 * held(signals).total
    return held_milliseconds / signals.requests if signals.requests else 0.0


def _pool_signals(pool: Pool) -> dict[str, str]:
    return {
        "wait for a connection, p95": milliseconds(pool.waits.quantile(0.95)),
        "connection held, mean": milliseconds(pool.holds.mean),
        "connections": f"{pool.peak:.0f} of {pool.size:.0f}",
        "checkouts that timed out": f"{pool.timeouts:.0f}",
    }


def _database_signals(signals: Signals) -> dict[str, str]:
    if signals.database is None:
        return {}
    reported = {
        "statements executing": f"{signals.database.active:.1f}",
        "cores of the database": f"{signals.planned.database_cores:g}",
    }
    if signals.database.cpu is not None:
        reported["CPU of the database"] = cores(signals.database.cpu)
    return reported
