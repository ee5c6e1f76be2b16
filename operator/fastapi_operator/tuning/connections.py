"""From the database to the app's processes: who grants connections, who uses them, do they fit."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fastapi_operator import quantity
from fastapi_operator.api.postgres import Pooler
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.budget import (
    APP,
    CANARY,
    Claim,
    ConnectionBudget,
    ConnectionRoom,
    canary_pods,
    pods_at_peak,
)
from fastapi_operator.tuning.canary import largest_share
from fastapi_operator.tuning.database import database_plan, is_pooled
from fastapi_operator.tuning.plan import (
    DatabasePlan,
    PoolerPlan,
    PoolPlan,
    PostgresPlan,
    ScalingPlan,
    ServerCore,
)
from fastapi_operator.tuning.pool import pool_plan
from fastapi_operator.tuning.pooler import (
    clients_with_one_lost,
    most_clients,
    pooler_plan,
    servers_while_replaced,
)
from fastapi_operator.tuning.postgres import postgres_plan, server_size
from fastapi_operator.tuning.profile import ProfiledSpec
from fastapi_operator.tuning.scaling import scaling_plan

# The fewest connections of the app: one, and one that replaces it.
_LEFT = 2


class Connections(NamedTuple):
    """All numbers between the app's processes and the database; empty without a database."""

    pool: PoolPlan | None = None
    pooler: PoolerPlan | None = None
    budget: ConnectionBudget | None = None


def database_plans(profiled: ProfiledSpec) -> tuple[DatabasePlan | None, PostgresPlan | None]:
    """Decides the connections of the database, and the server unless it is external."""
    postgres = profiled.spec.postgres
    if postgres is None:
        return None, None
    if postgres.mode == "External":
        return database_plan(profiled, postgres, None), None
    size = server_size(profiled)
    database = database_plan(profiled, postgres, size)
    return database, postgres_plan(profiled, postgres, size, database)


def connected(
    profiled: ProfiledSpec,
    core: ServerCore,
    database: DatabasePlan | None,
    others: tuple[Claim, ...],
) -> tuple[ScalingPlan, Connections]:
    """Decides how many pods there may be, and how each of their processes connects.

    Args:
        profiled: The spec and its profile.
        core: The server in each pod.
        database: The connections of the database; None without one.
        others: The connections that background processes and schedules claim.
    """
    spec = profiled.spec
    if spec.postgres is None or database is None:
        return scaling_plan(profiled, core, None), Connections()
    taken, granted = sum(claim.demand for claim in others), database.service_connections.value
    pooler = None
    if is_pooled(spec.postgres):
        pool = pool_plan(profiled, granted)
        per_process = pool.size.value + pool.max_overflow.value
        section = spec.postgres.pooler or Pooler()
        room = ConnectionRoom(most_clients(section.instances, database), per_process, taken)
        scaling = scaling_plan(profiled, core, room)
        demand = sum(claim.demand for claim in _claims(spec, core, scaling, pool)) + taken
        pooler = pooler_plan(profiled, database, demand)
    else:
        # Each process gets its share of the database, so the number of processes comes first.
        room = ConnectionRoom(granted, figures.DIRECT_POOL_MIN, taken)
        scaling = scaling_plan(profiled, core, room)
        processes = sum(claim.processes for claim in _claims(spec, core, scaling, None))
        pool = pool_plan(profiled, max(0, granted - taken), processes)
    budget = _budget((*_claims(spec, core, scaling, pool), *others), database, pooler)
    return scaling, Connections(pool, pooler, budget)


def app_processes(spec: Spec, core: ServerCore, scaling: ScalingPlan) -> dict[str, int]:
    """Returns the processes of the app at peak, a rollout's surge included, and of its canary."""
    replicas, surge = scaling.max_replicas.value, scaling.max_surge.value
    pods = {
        APP: pods_at_peak(replicas, surge),
        CANARY: canary_pods(replicas, largest_share(spec)),
    }
    return {name: count * core.workers.value for name, count in pods.items() if count}


def _claims(
    spec: Spec, core: ServerCore, scaling: ScalingPlan, pool: PoolPlan | None
) -> tuple[Claim, ...]:
    """Returns the claims of both versions; without a pool, how many processes will have one."""
    per_process = pool.size.value + pool.max_overflow.value if pool else 0
    paths = {APP: "spec.scaling.maxReplicas", CANARY: "spec.rollout.canary.steps"}
    return tuple(
        Claim(name=name, path=paths[name], processes=processes, per_process=per_process)
        for name, processes in app_processes(spec, core, scaling).items()
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
        direct=database.direct_connections.value,
    )


def budget_problems(
    spec: Spec,
    budget: ConnectionBudget | None,
    scaling: ScalingPlan,
    postgres: PostgresPlan | None,
) -> Iterator[Problem]:
    """Reports the steps of the budget that do not fit."""
    if budget is None:
        return
    too_many = tuple(_direct_problems(budget, postgres))
    if too_many:
        yield from too_many
    elif spec.postgres is not None:
        external = spec.postgres.mode == "External"
        is_set = spec.postgres.pooler is not None and spec.postgres.pooler.instances is not None
        size = "maxConnections" if external else "resources.limits.cpu"
        yield from budget.problems(
            max_replicas=scaling.max_replicas.value,
            surge=scaling.max_surge.value,
            external=external,
            pooler_path=f"spec.postgres.{'pooler.instances' if is_set else size}",
        )


def _direct_problems(budget: ConnectionBudget, postgres: PostgresPlan | None) -> Iterator[Problem]:
    """Reports direct connections that leave none for the pooler or the pools."""
    if postgres is None:
        room = budget.max_connections - budget.reserved
        limit = f"spec.postgres.maxConnections has {room} for the service"
        remedy = f"or have the database grant {budget.direct + _LEFT + budget.reserved}"
    else:
        memory = postgres.memory_bytes.value
        share = figures.BACKENDS_MEMORY_SHARE
        room = int(share * memory / figures.BACKEND_MEMORY_BYTES)
        limit = f"{quantity.format_bytes(memory)} of memory are enough for {room} connections"
        needed = math.ceil((budget.direct + _LEFT) * figures.BACKEND_MEMORY_BYTES / share)
        remedy = (
            "or set spec.postgres.resources.limits.memory to at least "
            f"{math.ceil(needed / figures.GIB)}Gi"
        )
    if budget.direct and budget.direct + _LEFT > room:
        yield Problem(
            severity=Severity.ERROR,
            stage=Stage.PLAN,
            path="spec.connections.database.direct.maxConnections",
            message=f"{budget.direct} direct connections do not fit: {limit}, of which the app "
            f"needs at least {_LEFT} itself",
            remedy=f"set at most {max(0, room - _LEFT)}, {remedy}",
        )
