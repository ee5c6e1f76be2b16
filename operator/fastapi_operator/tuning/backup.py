"""How many dumps of a database are kept, and on how large a volume."""

from collections.abc import Iterator

from fastapi_operator.api.postgres import Postgres
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import BackupPlan, PostgresPlan
from fastapi_operator.tuning.profile import ProfiledSpec

BACKUP = Group("backup", effects.OBJECT_NONE)


def backup_plan(profiled: ProfiledSpec, server: PostgresPlan | None) -> BackupPlan | None:
    """Decides the numbers of ``spec.postgres.backup``; None without it."""
    postgres = profiled.spec.postgres
    if postgres is None or postgres.backup is None or server is None:
        return None
    return BackupPlan(**BACKUP.decide(profiled, data_bytes=server.storage_bytes))


def backup_problems(postgres: Postgres | None) -> Iterator[Problem]:
    """Reports a database that the operator runs without a backup."""
    if postgres is None or postgres.mode not in (None, "Managed") or postgres.backup is not None:
        return
    yield Problem(
        severity=Severity.WARNING,
        stage=Stage.PLAN,
        path="spec.postgres.backup",
        message="no backup is configured: if the volume is lost, so is the data",
        remedy="set backup: {} for a nightly dump to a volume of its own",
    )


BACKUP.constant(
    "kept",
    7,
    "a week of nightly dumps",
    unit="dumps",
    field="postgres.backup.keep",
    evidence="judgement",
)


BACKUP.constant(
    "cpu_request_millicores",
    100,
    "a dump waits for the database and compresses what it gets",
    field="parts.backup.resources.requests.cpu",
    amount="cpu",
    evidence="judgement",
)
BACKUP.constant(
    "memory_limit_bytes",
    256 * figures.MIB,
    "pg_dump streams the rows; the descriptions of all tables stay in memory",
    field="parts.backup.resources.limits.memory",
    amount="memory",
    evidence="judgement",
)


@BACKUP.number(
    field="postgres.backup.storage.size", ceiling="postgres.backup.storage.size", amount="storage"
)
def _storage_bytes(*, data_bytes: int) -> Because[int]:
    """The size of the database's volume.

    A dump has no indexes and is compressed (judgement).
    """
    return Because(
        data_bytes,
        "as large as the database's own volume: a dump has no indexes and is compressed",
    )
