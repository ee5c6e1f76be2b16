"""The connections that a database grants: they bound the pooler, and the pooler bounds the app.

Sizes flow outwards. CPU and memory of a PostgreSQL that the operator configures decide its
connections; ``spec.postgres.maxConnections`` decides those of another. No field of the app does.
"""

import math
from collections.abc import Iterator
from typing import Any

from fastapi_operator.api.postgres import Pooler, Postgres
from fastapi_operator.facts import CNPG_CLUSTER, Facts
from fastapi_operator.problems import Problem, Severity, Stage, missing_api
from fastapi_operator.settings import OperandImage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import DatabasePlan
from fastapi_operator.tuning.postgres import ServerSize
from fastapi_operator.tuning.profile import ProfiledSpec

DATABASE = Group("database", effects.SERVER_RELOAD)
OWN = Group("database", effects.SERVER_RESTART, case="run here or by CloudNativePG")
EXTERNAL = Group("database", effects.APP_ROLLOUT, case="external")
EXTERNAL_POOLED = Group("database", effects.SERVER_RELOAD, case="external, with a pooler")
EXTERNAL_DIRECT = Group("database", effects.APP_ROLLOUT, case="external, without a pooler")


def is_pooled(postgres: Postgres) -> bool:
    """Returns whether PgBouncer is between the app and the database."""
    return (postgres.pooler or Pooler()).engine != "None"


def database_plan(
    profiled: ProfiledSpec, postgres: Postgres, size: ServerSize | None
) -> DatabasePlan:
    """Decides the connections and timeouts of the database.

    Args:
        profiled: The spec and its profile.
        postgres: ``spec.postgres``.
        size: CPU and memory of the server; None for an external one.
    """
    pooled = is_pooled(postgres)
    share = round(100 * (figures.POOLER_SHARE if pooled else figures.DIRECT_SHARE))
    decided: dict[str, Any]
    if size is not None:
        decided = OWN.decide(
            profiled,
            cpu_millicores=size.cpu_millicores if pooled else None,
            memory_bytes=size.memory_bytes,
            share_percent=share,
        )
    else:
        decided = EXTERNAL.decide(profiled)
        of_service = EXTERNAL_POOLED if pooled else EXTERNAL_DIRECT
        decided |= of_service.decide(profiled, **decided, share_percent=share)
    return DatabasePlan(**decided, **DATABASE.decide(profiled))


def database_problems(
    postgres: Postgres | None, image: OperandImage, facts: Facts
) -> Iterator[Problem]:
    """Reports what keeps the database from following the plan.

    Args:
        postgres: The section of the spec.
        image: The PostgreSQL that the operator runs.
        facts: The APIs of the cluster.
    """
    if postgres is None:
        return
    if postgres.version is not None and postgres.version != image.major:
        known = image.major is not None
        yield Problem(
            severity=Severity.ERROR if known else Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.postgres.version",
            message=f"is {postgres.version}, and the operator runs {image.major}"
            if known
            else f"is {postgres.version}, and the version of {image.reference} is unknown",
            remedy="a volume keeps its version: use an operator whose settings.images.postgres has "
            "this one, or move the data by backup and restoreFrom",
        )
    if not is_pooled(postgres):
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.postgres.pooler.engine",
            message="without a pooler only the app's own pools keep the connection budget: a "
            "process that ignores DATABASE_POOL_SIZE can take every connection",
            remedy="remove engine: None, unless every process obeys it",
        )
    if postgres.mode == "CloudNativePG" and not facts.offers(CNPG_CLUSTER):
        yield missing_api(
            "spec.postgres.mode",
            CNPG_CLUSTER,
            "install CloudNativePG, or remove mode for a database that the operator runs",
        )
    if postgres.mode == "External":
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.postgres.mode",
            message="the operator may not configure an external database",
            remedy=f"run as the role of secretRef: ALTER ROLE CURRENT_USER SET statement_timeout = "
            f"'{figures.STATEMENT_TIMEOUT_SECONDS}s'; ALTER ROLE CURRENT_USER SET "
            f"idle_in_transaction_session_timeout = '{figures.IDLE_IN_TRANSACTION_SECONDS}s'; "
            f"and check that SHOW max_connections is at least {postgres.max_connections}",
        )


for _group in (OWN, EXTERNAL):
    _group.constant(
        "direct_connections",
        0,
        "no process bypasses the pooler; connections.database.direct sets it",
        unit="connections",
        field="connections.database.direct.maxConnections",
    )
OWN.constant(
    "reserved_connections",
    figures.SUPERUSER_RESERVED + figures.ADMIN_RESERVED,
    f"{figures.SUPERUSER_RESERVED} for superusers, {figures.ADMIN_RESERVED} for migrations, "
    "backup, monitoring and a person",
    unit="connections",
    evidence="PostgreSQL's default for superusers; judgement",
)


@OWN.number(unit="connections")
def _service_connections(
    *, cpu_millicores: int | None, memory_bytes: int, direct_connections: int
) -> Because[int]:
    """max(10, 2 · (2 · cores + 1)), at most ¼ · memory / 10 MiB − direct_connections.

    Without a pooler that bound. At most 100,000.

    2 · cores + 1 connections that execute is PostgreSQL's own rule; twice that, since transactions
    also wait for the app. Without a pooler connections are mostly idle, so memory bounds them.
    """
    share = figures.BACKENDS_MEMORY_SHARE * memory_bytes
    by_memory = int(share / figures.BACKEND_MEMORY_BYTES) - direct_connections
    by_memory = min(max(2, by_memory), figures.SERVICE_CONNECTIONS_MAX)
    quarter = "a quarter of {memory_bytes} at 10Mi a connection"
    if direct_connections:
        quarter += ", less the {direct_connections} that bypass the pooler"
    if cpu_millicores is None:
        return Because(
            by_memory,
            f"{quarter}: without a pooler each process keeps its own, mostly idle, so memory "
            "bounds them",
        )
    active = figures.ACTIVE_PER_CORE * cpu_millicores / 1000 + 1
    by_cpu = max(figures.SERVERS_MIN, math.floor(figures.ACTIVE_SLACK * active))
    if by_memory < by_cpu:
        return Because(by_memory, f"{quarter}; the CPU alone would allow {by_cpu}")
    return Because(
        by_cpu,
        "twice the connections that {cpu_millicores} can execute at once (2 a core and one for "
        f"the disk), at least {figures.SERVERS_MIN}; more would only queue inside the database",
    )


@OWN.number(unit="connections", headline=True)
def _max_connections(
    *,
    service_connections: int,
    reserved_connections: int,
    direct_connections: int,
    share_percent: int,
) -> Because[int]:
    """2 · S + reserved_connections + direct_connections; without a pooler ⌈S / 0.9⌉ for 2 · S.

    A pod of PgBouncer that ends keeps its connections until its clients have gone, up to 28 s,
    beside the pod that replaces it. A rollout may do so with all of them.
    """
    direct = " and {direct_connections} bypass the pooler" if direct_connections else ""
    return Because(
        math.ceil(service_connections * 100 / share_percent)
        + reserved_connections
        + direct_connections,
        "{service_connections} for the service are {share_percent} %, and "
        f"{{reserved_connections}} are reserved{direct}",
    )


@EXTERNAL.number(
    "max_connections",
    unit="connections",
    effect=effects.SERVER_RESTART,
    field="postgres.maxConnections",
    headline=True,
)
def _granted_connections() -> Because[int]:
    """`postgres.maxConnections`, which is required: only the owner of the database knows it."""
    return Because(figures.MAX_CONNECTIONS_DEFAULT, "PostgreSQL's default")


@EXTERNAL.number(unit="connections")
def _reserved_connections(*, max_connections: int) -> Because[int]:
    """8, at most a fifth of max_connections.

    On a shared server the same people and Jobs use connections of the grant (judgement).
    """
    wanted = figures.SUPERUSER_RESERVED + figures.ADMIN_RESERVED
    fifth = int(figures.RESERVED_SHARE * max_connections)
    if fifth < wanted:
        return Because(
            fifth, "a fifth of {max_connections}, for migrations, monitoring and a person"
        )
    return Because(
        wanted,
        f"{figures.SUPERUSER_RESERVED} that PostgreSQL keeps for superusers, "
        f"{figures.ADMIN_RESERVED} for migrations, monitoring and a person",
    )


@EXTERNAL_POOLED.number("service_connections", unit="connections")
@EXTERNAL_DIRECT.number("service_connections", unit="connections")
def _share_of_the_grant(
    *,
    max_connections: int,
    reserved_connections: int,
    direct_connections: int,
    share_percent: int,
) -> Because[int]:
    """50 % of max_connections − reserved_connections − direct_connections.

    90 % of it without a pooler.

    The rest is for connections that are being replaced (judgement).
    """
    left = max_connections - reserved_connections - direct_connections
    direct = " and the {direct_connections} that bypass the pooler" if direct_connections else ""
    return Because(
        max(1, left * share_percent // 100),
        f"{{share_percent}} % of {{max_connections}} less the {{reserved_connections}} reserved"
        f"{direct}; the rest is for connections that are replaced",
    )


DATABASE.constant(
    "statement_timeout_seconds",
    figures.STATEMENT_TIMEOUT_SECONDS,
    f"after the pooler's queue ({figures.QUERY_WAIT_TIMEOUT_SECONDS} s) and before the proxy "
    f"gives up ({figures.PROXY_READ_TIMEOUT_SECONDS} s), so that an error names its cause",
    evidence="judgement",
)
DATABASE.constant(
    "idle_in_transaction_seconds",
    figures.IDLE_IN_TRANSACTION_SECONDS,
    "a transaction that waits for the app holds one of few connections",
    evidence="judgement",
)
