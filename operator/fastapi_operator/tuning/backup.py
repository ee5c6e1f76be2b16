"""How many dumps of a database are kept, and on how large a volume."""

from collections.abc import Iterator

from fastapi_operator import quantity
from fastapi_operator.api.postgres import Postgres
from fastapi_operator.api.storage import Storage
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, decide, overridden
from fastapi_operator.tuning.plan import BackupPlan, PostgresPlan


def backup_plan(postgres: Postgres | None, server: PostgresPlan | None) -> BackupPlan | None:
    """The numbers of ``spec.postgres.backup``; None without it."""
    if postgres is None or postgres.backup is None or server is None:
        return None
    size = (postgres.backup.storage or Storage()).size
    return BackupPlan(
        kept=decide(
            "backup.kept",
            _kept,
            unit="dumps",
            override=overridden(postgres.backup.keep, "spec.postgres.backup.keep"),
            effect=effects.OBJECT_NONE,
        ),
        storage_bytes=decide(
            "backup.storage_bytes",
            _storage,
            unit="",
            override=overridden(
                None if size is None else quantity.size_bytes(size),
                "spec.postgres.backup.storage.size",
            ),
            data_bytes=server.storage_bytes,
            effect=effects.OBJECT_NONE,
        ),
    )


def backup_problems(postgres: Postgres | None) -> Iterator[Problem]:
    """That a database which is run here has no backup."""
    if postgres is None or postgres.mode not in (None, "Managed") or postgres.backup is not None:
        return
    yield Problem(
        severity=Severity.WARNING,
        stage=Stage.PLAN,
        path="spec.postgres.backup",
        message="the database has no backup: what its volume loses is lost",
        remedy="write backup: {} for a nightly dump to a volume of its own",
    )


def _kept() -> Because[int]:
    return Because(figures.BACKUPS_KEPT, "a week of nightly dumps")


def _storage(*, data_bytes: int) -> Because[int]:
    return Because(
        data_bytes,
        "as large as the database's own volume: a dump has no indexes and is compressed",
    )
