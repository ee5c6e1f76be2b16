"""PgBouncer: its instances share the connections that the database can execute.

Server connections are few, since the database decides their number. Client connections cost a few
KiB each, so their number follows the processes.
"""

import math

from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.compute import round_up
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import DatabasePlan, PoolerPlan
from fastapi_operator.tuning.profile import ProfiledSpec
from fastapi_operator.tuning.scaling import allowed_replicas

POOLER = Group("pooler", effects.SERVER_RELOAD)


def clients_with_one_lost(pooler: PoolerPlan) -> int:
    """Returns the client connections that the pooler accepts when one instance is lost."""
    return max(1, pooler.instances.value - 1) * pooler.max_client_connections.value


def servers_while_replaced(pooler: PoolerPlan) -> int:
    """Returns the server connections of all instances and of those that they replace."""
    return 2 * pooler.instances.value * pooler.max_db_connections.value


def most_clients(instances: int | None, database: DatabasePlan) -> int:
    """Returns the most client connections that the pooler can be made to accept.

    Args:
        instances: ``spec.postgres.pooler.instances``; None if the number is derived.
        database: The connections of the database; each instance needs one.
    """
    allowed = instances or most_instances(database.service_connections.value)
    return max(1, allowed - 1) * figures.POOLER_CLIENTS_MAX


def most_instances(service_connections: int) -> int:
    """Returns the most instances that share the connections of the database."""
    return max(1, min(figures.POOLER_INSTANCES_MAX, service_connections))


def pooler_plan(profiled: ProfiledSpec, database: DatabasePlan, demand: int) -> PoolerPlan:
    """Decides the sizes of each PgBouncer instance.

    Args:
        profiled: The spec and its profile.
        database: The connections of the database.
        demand: The client connections that all processes may open at peak.
    """
    decided = POOLER.decide(
        profiled,
        single_pod=allowed_replicas(profiled) == 1,
        service_connections=database.service_connections,
        demand=demand,
    )
    return PoolerPlan(**decided)


@POOLER.number(
    unit="pods", effect=effects.OBJECT_NONE, field="postgres.pooler.instances", headline=True
)
def _instances(*, single_pod: bool, service_connections: int, demand: int) -> Because[int]:
    """1 + ⌈clients / 10000⌉ and at least 2; 1 for a single pod or a single connection.

    One thread serves all clients of an instance, so an instance accepts 10,000 (judgement). The
    database's connections bound the instances.
    """
    needed = 1 + math.ceil(demand / figures.POOLER_CLIENTS_MAX)
    if service_connections > 1 and needed > 2:
        return Because(
            min(needed, most_instances(service_connections)),
            f"{{demand}} clients at peak, at most {figures.POOLER_CLIENTS_MAX} for each instance, "
            "and one instance more, since one may be lost",
        )
    if single_pod:
        return Because(1, "the app runs one pod")
    if service_connections < 2:
        return Because(1, "the database grants one connection")
    return Because(2, "one may be lost or replaced while the other serves")


@POOLER.number(unit="connections", headline=True)
def _max_db_connections(*, service_connections: int, instances: int) -> Because[int]:
    """⌊S / instances⌋.

    The bound that holds even for an app that ignores its pool size.
    """
    return Because(
        max(1, service_connections // instances),
        "the database's {service_connections}, shared by {instances} instances; an app that "
        "ignores its pool size cannot exceed it",
    )


@POOLER.number(unit="connections")
def _default_pool_size(*, max_db_connections: int) -> Because[int]:
    """¾ · max_db_connections."""
    return Because(
        max(1, int(figures.POOLER_DEFAULT_SHARE * max_db_connections)),
        "three quarters of {max_db_connections}; the rest is the reserve",
    )


@POOLER.number(unit="connections")
def _reserve_pool_size(*, max_db_connections: int, default_pool_size: int) -> Because[int]:
    """max_db_connections − default_pool_size."""
    return Because(
        max_db_connections - default_pool_size,
        "the rest of {max_db_connections} after {default_pool_size}, opened when clients have "
        f"waited {figures.POOLER_RESERVE_TIMEOUT_SECONDS} s",
    )


@POOLER.number(unit="connections")
def _min_pool_size(*, default_pool_size: int) -> Because[int]:
    """default_pool_size / 2."""
    return Because(
        default_pool_size // 2,
        "half of {default_pool_size} stay open, so that a burst finds open connections",
    )


@POOLER.number(unit="connections", headline=True)
def _max_client_connections(*, demand: int, instances: int) -> Because[int]:
    """⌈clients / max(1, instances − 1)⌉ in steps of 1000, at most 10,000.

    All processes fit with one instance lost. A client that waits costs 6 KiB (measured), so the
    number follows the need. One thread serves all clients of an instance (judgement).
    """
    surviving = max(1, instances - 1)
    steps = max(1, math.ceil(demand / surviving / figures.POOLER_CLIENTS_STEP))
    return Because(
        min(steps * figures.POOLER_CLIENTS_STEP, figures.POOLER_CLIENTS_MAX),
        "all processes open {demand} at peak, and with one of {instances} instances lost the rest "
        f"accept them; in steps of {figures.POOLER_CLIENTS_STEP}, at most "
        f"{figures.POOLER_CLIENTS_MAX}",
    )


@POOLER.number(
    effect=effects.OBJECT_ROLLOUT, field="parts.pooler.resources.limits.memory", amount="memory"
)
def _memory_limit_bytes(*, max_client_connections: int) -> Because[int]:
    """128 MiB, and 32 KiB for each client above 1000, in steps of 32 MiB.

    A client that waits costs 6 KiB (measured), and the rest is for its prepared statements
    (judgement).
    """
    more = max_client_connections - figures.POOLER_CLIENTS_STEP
    return Because(
        figures.POOLER_MEMORY_BYTES + round_up(more * figures.POOLER_CLIENT_BYTES),
        f"{figures.POOLER_MEMORY_BYTES // figures.MIB}Mi for the first "
        f"{figures.POOLER_CLIENTS_STEP} of {{max_client_connections}} clients, then "
        f"{figures.POOLER_CLIENT_BYTES // 1024}Ki for each",
    )


POOLER.constant(
    "reserve_timeout_seconds",
    figures.POOLER_RESERVE_TIMEOUT_SECONDS,
    "a client that waits longer opens the reserve; a shorter burst passes without it",
    evidence="PgBouncer's default of 5 is as long as the app's own pool waits",
)
POOLER.constant(
    "connect_timeout_seconds",
    5,
    "a database that does not respond by then is restarting; the next attempt follows after a "
    "second",
    evidence="judgement; PgBouncer's default is 15",
)
POOLER.constant(
    "server_idle_seconds",
    600,
    "PgBouncer's default: connections of a burst are closed after being idle for so long",
)
POOLER.constant(
    "server_lifetime_seconds",
    3600,
    "PgBouncer's default: a backend's caches only grow, so it is replaced now and then",
)
POOLER.constant(
    "cpu_request_millicores",
    50,
    "PgBouncer passes thousands of transactions a second on a tenth of a core",
    effect=effects.OBJECT_ROLLOUT,
    field="parts.pooler.resources.requests.cpu",
    amount="cpu",
    evidence="judgement; it is single-threaded, so add instances before CPU",
)
POOLER.constant(
    "query_wait_timeout_seconds",
    figures.QUERY_WAIT_TIMEOUT_SECONDS,
    f"longer than the app's pool waits ({figures.POOL_TIMEOUT_SECONDS} s), shorter than a "
    f"statement may run ({figures.STATEMENT_TIMEOUT_SECONDS} s)",
    evidence="PgBouncer's default of 120 makes an outage look like a hang",
)
POOLER.constant(
    "max_prepared_statements",
    200,
    "tracks prepared statements, so that asyncpg's cache works in transaction mode",
    unit="statements",
    evidence="measured with PgBouncer ≥ 1.21: no errors in any set-up with an ordinary pool; "
    "NullPool, which older advice suggests, served a quarter of the transactions",
)
