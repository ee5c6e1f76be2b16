"""The app's pool and PgBouncer: both are cut from what the database can execute."""

import math

from fastapi_operator.api.compute import Traffic
from fastapi_operator.api.postgres import Pooler
from fastapi_operator.api.scaling import Scaling
from fastapi_operator.api.service import Spec
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, decide, overridden
from fastapi_operator.tuning.plan import DatabasePlan, PoolerPlan, PoolPlan


def pool_plan(spec: Spec, database: DatabasePlan) -> PoolPlan:
    """The pool that each app process opens to PgBouncer."""
    traffic = spec.traffic or Traffic()
    size = decide(
        "pool.size",
        _pool_size,
        unit="connections",
        database_milliseconds=traffic.database_milliseconds_per_request,
        cpu_milliseconds=traffic.cpu_milliseconds_per_request
        or figures.CPU_MILLISECONDS_PER_REQUEST,
        pooler_connections=database.pooler_connections,
        effect=effects.APP_ROLLOUT,
    )
    return PoolPlan(
        size=size,
        max_overflow=decide(
            "pool.max_overflow",
            _max_overflow,
            unit="connections",
            size=size,
            pooler_connections=database.pooler_connections,
            effect=effects.APP_ROLLOUT,
        ),
        timeout_seconds=decide(
            "pool.timeout_seconds",
            _pool_timeout,
            unit="seconds",
            effect=effects.APP_ROLLOUT,
        ),
        recycle_seconds=decide(
            "pool.recycle_seconds",
            _pool_recycle,
            unit="seconds",
            effect=effects.APP_ROLLOUT,
        ),
    )


def pooler_plan(spec: Spec, database: DatabasePlan) -> PoolerPlan:
    """The sizes of each PgBouncer instance."""
    scaling = spec.scaling or Scaling()
    pooler = (spec.postgres and spec.postgres.pooler) or Pooler()
    instances = decide(
        "pooler.instances",
        _instances,
        unit="pods",
        effect=effects.OBJECT_NONE,
        override=overridden(pooler.instances, "spec.postgres.pooler.instances"),
        single_pod=1 in (scaling.replicas, scaling.max_replicas),
        pooler_connections=database.pooler_connections,
    )
    max_db_connections = decide(
        "pooler.max_db_connections",
        _max_db_connections,
        unit="connections",
        pooler_connections=database.pooler_connections,
        instances=instances,
        effect=effects.SERVER_RELOAD,
    )
    default_pool_size = decide(
        "pooler.default_pool_size",
        _default_pool_size,
        unit="connections",
        max_db_connections=max_db_connections,
        effect=effects.SERVER_RELOAD,
    )
    return PoolerPlan(
        instances=instances,
        max_db_connections=max_db_connections,
        default_pool_size=default_pool_size,
        reserve_pool_size=decide(
            "pooler.reserve_pool_size",
            _reserve_pool_size,
            unit="connections",
            max_db_connections=max_db_connections,
            default_pool_size=default_pool_size,
            effect=effects.SERVER_RELOAD,
        ),
        min_pool_size=decide(
            "pooler.min_pool_size",
            _min_pool_size,
            unit="connections",
            default_pool_size=default_pool_size,
            effect=effects.SERVER_RELOAD,
        ),
        max_client_connections=decide(
            "pooler.max_client_connections",
            _max_client_connections,
            unit="connections",
            effect=effects.SERVER_RELOAD,
        ),
        query_wait_timeout_seconds=decide(
            "pooler.query_wait_timeout_seconds",
            _query_wait_timeout,
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
        max_prepared_statements=decide(
            "pooler.max_prepared_statements",
            _prepared_statements,
            unit="statements",
            effect=effects.SERVER_RELOAD,
        ),
    )


def _pool_size(
    *, database_milliseconds: int | None, cpu_milliseconds: int, pooler_connections: int
) -> Because[int]:
    if database_milliseconds is None:
        return Because(
            min(figures.POOL_SIZE_UNKNOWN, pooler_connections),
            "spec.traffic.databaseMillisecondsPerRequest is not set, so SQLAlchemy's default, at "
            "most the {pooler_connections} that the database executes",
        )
    rate = figures.FLEET_BUSY * 1000 / cpu_milliseconds
    wanted = math.ceil(figures.POOL_MARGIN * rate * database_milliseconds / 1000)
    return Because(
        max(1, min(max(wanted, figures.POOL_SIZE_MIN), pooler_connections)),
        f"Little's law: {rate:.0f} requests a second on a process, each holding a connection for "
        "{database_milliseconds} ms, and half as many again; at most the {pooler_connections} "
        "that the database executes",
    )


def _max_overflow(*, size: int, pooler_connections: int) -> Because[int]:
    return Because(
        min(size, pooler_connections - size),
        "a burst may double the pool of {size}, up to the {pooler_connections} that the database "
        "executes",
    )


def _pool_timeout() -> Because[int]:
    return Because(
        figures.POOL_TIMEOUT_SECONDS,
        "the first rung of the ladder: shorter than the pooler's queue of "
        f"{figures.QUERY_WAIT_TIMEOUT_SECONDS} s",
    )


def _pool_recycle() -> Because[int]:
    return Because(
        figures.POOL_RECYCLE_SECONDS,
        "connections spread again over the pooler's pods within ten minutes",
    )


def _instances(*, single_pod: bool, pooler_connections: int) -> Because[int]:
    if single_pod:
        return Because(1, "the app runs one pod")
    if pooler_connections < 2:
        return Because(1, "the database has one connection to give")
    return Because(2, "one may be lost or replaced while the other serves")


def _max_db_connections(*, pooler_connections: int, instances: int) -> Because[int]:
    return Because(
        max(1, pooler_connections // instances),
        "the database's {pooler_connections}, shared by {instances} instances; an app that ignores "
        "its pool size cannot exceed it",
    )


def _default_pool_size(*, max_db_connections: int) -> Because[int]:
    return Because(
        max(1, int(figures.POOLER_DEFAULT_SHARE * max_db_connections)),
        "three quarters of {max_db_connections}; the rest is the reserve",
    )


def _reserve_pool_size(*, max_db_connections: int, default_pool_size: int) -> Because[int]:
    return Because(
        max_db_connections - default_pool_size,
        "what {default_pool_size} leave of {max_db_connections}, opened when clients have waited "
        f"{figures.POOLER_RESERVE_TIMEOUT_SECONDS} s",
    )


def _min_pool_size(*, default_pool_size: int) -> Because[int]:
    return Because(
        default_pool_size // 2, "half of {default_pool_size} stay open, so a burst finds them warm"
    )


def _max_client_connections() -> Because[int]:
    return Because(
        figures.POOLER_CLIENTS,
        "a waiting client costs a few KiB; the count bounds what the app's pods may open",
    )


def _query_wait_timeout() -> Because[int]:
    return Because(
        figures.QUERY_WAIT_TIMEOUT_SECONDS,
        f"longer than the app's pool waits ({figures.POOL_TIMEOUT_SECONDS} s), shorter than a "
        f"statement may run ({figures.STATEMENT_TIMEOUT_SECONDS} s)",
    )


def _prepared_statements() -> Because[int]:
    return Because(
        figures.POOLER_PREPARED_STATEMENTS,
        "tracks prepared statements, so that asyncpg's cache works in transaction mode",
    )
