"""What a database grants: its connections bound the pooler, the pooler bounds the app.

Sizes flow outwards: of a PostgreSQL that is ours, CPU and memory decide the connections; of one
that is not, ``spec.postgres.maxConnections`` does. No field of the app moves them.
"""

import math
from collections.abc import Iterator

from fastapi_operator.api.postgres import Pooler, Postgres
from fastapi_operator.facts import CNPG_CLUSTER, Facts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.settings import OperandImage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, Decision, decide, overridden
from fastapi_operator.tuning.plan import DatabasePlan
from fastapi_operator.tuning.postgres import ServerSize


def is_pooled(postgres: Postgres) -> bool:
    """Whether PgBouncer stands between the app and the database."""
    return (postgres.pooler or Pooler()).engine != "None"


def database_plan(postgres: Postgres, size: ServerSize | None) -> DatabasePlan:
    """The connections and timeouts of the database.

    Args:
        postgres: ``spec.postgres``.
        size: CPU and memory of the server; None for one that is not ours.
    """
    pooled = is_pooled(postgres)
    if size is None:
        granted, reserved, service = _granted_connections(postgres, pooled=pooled)
    else:
        granted, reserved, service = _own_connections(size, pooled=pooled)
    return DatabasePlan(
        max_connections=granted,
        reserved_connections=reserved,
        service_connections=service,
        statement_timeout_seconds=decide(
            "database.statement_timeout_seconds",
            _statement_timeout,
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
        idle_in_transaction_seconds=decide(
            "database.idle_in_transaction_seconds",
            _idle_in_transaction,
            unit="seconds",
            effect=effects.SERVER_RELOAD,
        ),
    )


def database_problems(
    postgres: Postgres | None, image: OperandImage, facts: Facts
) -> Iterator[Problem]:
    """What keeps the database from being as the plan needs it, or only the user can see to.

    Args:
        postgres: The section of the spec.
        image: The PostgreSQL that the operator runs.
        facts: What the cluster offers.
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
            else f"is {postgres.version}, and {image.reference} does not tell its version",
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
        yield Problem(
            severity=Severity.ERROR,
            stage=Stage.PLAN,
            path="spec.postgres.mode",
            message=f"the cluster does not serve {CNPG_CLUSTER}",
            remedy="install CloudNativePG, or remove mode for a database that is run here",
        )
    if postgres.mode == "External":
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.postgres.mode",
            message="what the operator may not set in an external database",
            remedy=f"run as the role of secretRef: ALTER ROLE CURRENT_USER SET statement_timeout = "
            f"'{figures.STATEMENT_TIMEOUT_SECONDS}s'; ALTER ROLE CURRENT_USER SET "
            f"idle_in_transaction_session_timeout = '{figures.IDLE_IN_TRANSACTION_SECONDS}s'; "
            f"and see that SHOW max_connections is at least {postgres.max_connections}",
        )


_Connections = tuple[Decision[int], Decision[int], Decision[int]]


def _own_connections(size: ServerSize, *, pooled: bool) -> _Connections:
    reserved = decide(
        "database.reserved_connections",
        _reserved,
        unit="connections",
        effect=effects.SERVER_RESTART,
    )
    seen = {"memory_bytes": size.memory_bytes}
    if pooled:
        seen["cpu_millicores"] = size.cpu_millicores
    service = decide(
        "database.service_connections",
        _executing if pooled else _resident,
        unit="connections",
        effect=effects.SERVER_RESTART,
        override=None,
        **seen,
    )
    granted = decide(
        "database.max_connections",
        _max_connections,
        unit="connections",
        effect=effects.SERVER_RESTART,
        service_connections=service,
        reserved_connections=reserved,
        share_percent=_share_percent(pooled),
    )
    return granted, reserved, service


def _granted_connections(postgres: Postgres, *, pooled: bool) -> _Connections:
    granted = decide(
        "database.max_connections",
        _max_connections_default,
        unit="connections",
        effect=effects.SERVER_RESTART,
        override=overridden(postgres.max_connections, "spec.postgres.maxConnections"),
    )
    reserved = decide(
        "database.reserved_connections",
        _reserved_of_a_grant,
        unit="connections",
        effect=effects.APP_ROLLOUT,
        max_connections=granted,
    )
    service = decide(
        "database.service_connections",
        _share_of_a_grant,
        unit="connections",
        effect=effects.SERVER_RELOAD if pooled else effects.APP_ROLLOUT,
        max_connections=granted,
        reserved_connections=reserved,
        share_percent=_share_percent(pooled),
    )
    return granted, reserved, service


def _share_percent(pooled: bool) -> int:
    return round(100 * (figures.POOLER_SHARE if pooled else figures.DIRECT_SHARE))


def _executing(*, cpu_millicores: int, memory_bytes: int) -> Because[int]:
    active = figures.ACTIVE_PER_CORE * cpu_millicores / 1000 + 1
    by_cpu = max(figures.SERVERS_MIN, math.floor(figures.ACTIVE_SLACK * active))
    by_memory = _by_memory(memory_bytes)
    if by_memory < by_cpu:
        return Because(
            by_memory,
            "a quarter of {memory_bytes} at 10Mi a connection; the CPU alone would drive "
            f"{by_cpu}",
        )
    return Because(
        by_cpu,
        "twice the connections that {cpu_millicores} can execute at once (2 a core and one for "
        f"the disk), at least {figures.SERVERS_MIN}; more would only queue inside the database",
    )


def _resident(*, memory_bytes: int) -> Because[int]:
    return Because(
        _by_memory(memory_bytes),
        "a quarter of {memory_bytes} at 10Mi a connection: without a pooler each process keeps "
        "its own, mostly idle, so memory bounds them",
    )


def _by_memory(memory_bytes: int) -> int:
    share = figures.BACKENDS_MEMORY_SHARE * memory_bytes
    return max(2, int(share / figures.BACKEND_MEMORY_BYTES))


def _reserved() -> Because[int]:
    return Because(
        figures.SUPERUSER_RESERVED + figures.ADMIN_RESERVED,
        f"{figures.SUPERUSER_RESERVED} for superusers, {figures.ADMIN_RESERVED} for migrations, "
        "backup, monitoring and a person",
    )


def _reserved_of_a_grant(*, max_connections: int) -> Because[int]:
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


def _max_connections(
    *, service_connections: int, reserved_connections: int, share_percent: int
) -> Because[int]:
    return Because(
        math.ceil(service_connections * 100 / share_percent) + reserved_connections,
        "{service_connections} for the service are {share_percent} %, and "
        "{reserved_connections} are kept back",
    )


def _max_connections_default() -> Because[int]:
    return Because(figures.MAX_CONNECTIONS_DEFAULT, "PostgreSQL's default")


def _share_of_a_grant(
    *, max_connections: int, reserved_connections: int, share_percent: int
) -> Because[int]:
    left = max_connections - reserved_connections
    return Because(
        max(1, left * share_percent // 100),
        "{share_percent} % of {max_connections} less the {reserved_connections} kept back; the "
        "rest is for connections that are replaced",
    )


def _statement_timeout() -> Because[int]:
    return Because(
        figures.STATEMENT_TIMEOUT_SECONDS,
        f"after the pooler's queue ({figures.QUERY_WAIT_TIMEOUT_SECONDS} s) and before the proxy "
        f"gives up ({figures.PROXY_READ_TIMEOUT_SECONDS} s), so that an error names its cause",
    )


def _idle_in_transaction() -> Because[int]:
    return Because(
        figures.IDLE_IN_TRANSACTION_SECONDS,
        "a transaction that waits on the app holds one of few connections",
    )
