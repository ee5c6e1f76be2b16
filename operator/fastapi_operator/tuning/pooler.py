"""PgBouncer: its instances share what the database can execute."""

from fastapi_operator.api.postgres import Pooler
from fastapi_operator.api.scaling import Scaling
from fastapi_operator.api.service import Spec
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, decide, fixed, overridden
from fastapi_operator.tuning.plan import DatabasePlan, PoolerPlan


def clients_with_one_lost(pooler: PoolerPlan) -> int:
    """Client connections that the poolers accept when one instance is gone."""
    return max(1, pooler.instances.value - 1) * pooler.max_client_connections.value


def servers_while_replaced(pooler: PoolerPlan) -> int:
    """Connections to the database of all instances, and of as many that are ending."""
    return 2 * pooler.instances.value * pooler.max_db_connections.value


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
        service_connections=database.service_connections,
    )
    max_db_connections = decide(
        "pooler.max_db_connections",
        _max_db_connections,
        unit="connections",
        service_connections=database.service_connections,
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
        reserve_timeout_seconds=fixed(
            "pooler.reserve_timeout_seconds",
            figures.POOLER_RESERVE_TIMEOUT_SECONDS,
            "a client that waits longer opens the reserve; a shorter burst passes without it",
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
        connect_timeout_seconds=fixed(
            "pooler.connect_timeout_seconds",
            figures.POOLER_CONNECT_TIMEOUT_SECONDS,
            "a database that does not answer by then is restarting; the next try follows a second "
            "later",
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
        server_idle_seconds=fixed(
            "pooler.server_idle_seconds",
            figures.POOLER_SERVER_IDLE_SECONDS,
            "PgBouncer's default: what a burst opened is closed when it was idle for so long",
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
        server_lifetime_seconds=fixed(
            "pooler.server_lifetime_seconds",
            figures.POOLER_SERVER_LIFETIME_SECONDS,
            "PgBouncer's default: a backend's caches only grow, so that it is replaced now and "
            "then",
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
        cpu_request_millicores=fixed(
            "pooler.cpu_request_millicores",
            figures.POOLER_CPU_MILLICORES,
            "PgBouncer passes thousands of transactions a second on a tenth of a core",
            unit="",
            effect=effects.OBJECT_ROLLOUT,
        ),
        memory_limit_bytes=fixed(
            "pooler.memory_limit_bytes",
            figures.POOLER_MEMORY_BYTES,
            f"{figures.POOLER_CLIENTS} clients at a few KiB, and their prepared statements",
            unit="",
            effect=effects.OBJECT_ROLLOUT,
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


def _instances(*, single_pod: bool, service_connections: int) -> Because[int]:
    if single_pod:
        return Because(1, "the app runs one pod")
    if service_connections < 2:
        return Because(1, "the database has one connection to give")
    return Because(2, "one may be lost or replaced while the other serves")


def _max_db_connections(*, service_connections: int, instances: int) -> Because[int]:
    return Because(
        max(1, service_connections // instances),
        "the database's {service_connections}, shared by {instances} instances; an app that "
        "ignores its pool size cannot exceed it",
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
