"""From the database to the app's processes: who grants connections, who takes them, do they fit."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fastapi_operator.api.compute import Traffic
from fastapi_operator.api.postgres import Postgres
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.budget import (
    APP,
    Claim,
    ConnectionBudget,
    ConnectionRoom,
    pods_at_peak,
)
from fastapi_operator.tuning.database import database_plan, is_pooled
from fastapi_operator.tuning.plan import (
    DatabasePlan,
    PoolerPlan,
    PoolPlan,
    PostgresPlan,
    ScalingPlan,
    ServerPlan,
)
from fastapi_operator.tuning.pool import direct_plan, pooled_plan
from fastapi_operator.tuning.pooler import (
    clients_with_one_lost,
    pooler_plan,
    servers_while_replaced,
)
from fastapi_operator.tuning.postgres import postgres_plan, server_size
from fastapi_operator.tuning.scaling import scaling_plan


class Connections(NamedTuple):
    """What stands between the app's processes and the database's last slot."""

    pool: PoolPlan | None = None
    pooler: PoolerPlan | None = None
    budget: ConnectionBudget | None = None


def database_plans(postgres: Postgres | None) -> tuple[DatabasePlan | None, PostgresPlan | None]:
    """What the database grants, and the server's own numbers where its configuration is ours."""
    if postgres is None:
        return None, None
    if postgres.mode == "External":
        return database_plan(postgres, None), None
    size = server_size(postgres)
    database = database_plan(postgres, size)
    return database, postgres_plan(postgres, size, database)


def connected(
    spec: Spec, server: ServerPlan, database: DatabasePlan | None, others: tuple[Claim, ...]
) -> tuple[ScalingPlan, Connections]:
    """How many pods there may be, and how each of their processes connects.

    Args:
        spec: What the user said.
        server: The server in each pod.
        database: What the database grants; None without one.
        others: What background processes and schedules claim.
    """
    if spec.postgres is None or database is None:
        return scaling_plan(spec, server, None), Connections()
    traffic, taken = spec.traffic or Traffic(), sum(claim.demand for claim in others)
    pooler = pooler_plan(spec, database) if is_pooled(spec.postgres) else None
    if pooler is not None:
        pool = pooled_plan(traffic, database)
        per_process = pool.size.value + pool.max_overflow.value
        room = ConnectionRoom(clients_with_one_lost(pooler), per_process, taken)
        scaling = scaling_plan(spec, server, room)
    else:
        # Each process gets its share of the database, so how many there are comes first.
        granted = database.service_connections.value
        room = ConnectionRoom(granted, figures.DIRECT_POOL_MIN, taken)
        scaling = scaling_plan(spec, server, room)
        pool = direct_plan(
            traffic,
            connections=max(0, granted - taken),
            processes=_processes(server, scaling),
        )
    budget = _budget((_app_claim(server, scaling, pool), *others), database, pooler)
    return scaling, Connections(pool, pooler, budget)


def _processes(server: ServerPlan, scaling: ScalingPlan) -> int:
    pods = pods_at_peak(scaling.max_replicas.value, scaling.max_surge.value)
    return pods * server.workers.value


def _app_claim(server: ServerPlan, scaling: ScalingPlan, pool: PoolPlan) -> Claim:
    return Claim(
        name=APP,
        path="spec.scaling.maxReplicas",
        processes=_processes(server, scaling),
        per_process=pool.size.value + pool.max_overflow.value,
    )


def _budget(
    claims: Iterable[Claim], database: DatabasePlan, pooler: PoolerPlan | None
) -> ConnectionBudget:
    return ConnectionBudget(
        claims=tuple(claims),
        pooler_clients=clients_with_one_lost(pooler) if pooler else None,
        pooler_servers=servers_while_replaced(pooler) if pooler else None,
        max_connections=database.max_connections.value,
        reserved=database.reserved_connections.value,
    )


def budget_problems(
    spec: Spec, budget: ConnectionBudget | None, scaling: ScalingPlan
) -> Iterator[Problem]:
    """What breaks the budget."""
    if budget is not None and spec.postgres is not None:
        yield from budget.problems(
            max_replicas=scaling.max_replicas.value,
            surge=scaling.max_surge.value,
            external=spec.postgres.mode == "External",
        )
