"""The Job that changes the schema: its time limits and its resources."""

from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.amounts import amounts
from fastapi_operator.tuning.compute import memory_equal_to_limit
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import ComputePlan, MigrationPlan
from fastapi_operator.tuning.profile import ProfiledSpec

MIGRATION = Group("migration", effects.OBJECT_NONE)


def migration_plan(profiled: ProfiledSpec, compute: ComputePlan) -> MigrationPlan:
    """Decides the numbers of the migration's Job."""
    postgres = profiled.spec.postgres
    given = amounts(postgres.migrations.resources if postgres and postgres.migrations else None)
    return MigrationPlan(
        **MIGRATION.decide(
            profiled,
            app_memory_bytes=compute.memory_limit_bytes,
            request_bytes=given.memory_request,
        )
    )


MIGRATION.constant(
    "connections",
    figures.PROCESS_CONNECTIONS,
    "one for the migration and one for work beside it, of those that are reserved",
    unit="connections",
    effect=effects.OBJECT_NONE,
    evidence="judgement",
)
MIGRATION.constant(
    "deadline_seconds",
    1800,
    "the new version waits until the Job ends; a migration that moves data may need more",
    field="postgres.migrations.timeoutSeconds",
    evidence="judgement",
)
MIGRATION.constant(
    "lock_timeout_seconds",
    5,
    "a statement of the migration that waits for a lock makes every later query of the table wait "
    "behind it",
    field="postgres.migrations.lockTimeoutSeconds",
    evidence="judgement",
)
_RESOURCES = "postgres.migrations.resources"


@MIGRATION.number(field=f"{_RESOURCES}.limits.cpu", amount="cpu")
def _cpu_limit_millicores() -> Because[int]:
    """No limit."""
    return Because(0, "none: a quota would only delay the release")


@MIGRATION.number(field=f"{_RESOURCES}.requests.cpu", amount="cpu")
def _cpu_request_millicores(*, cpu_limit_millicores: int) -> Because[int]:
    """100m, at most the limit (judgement)."""
    if 0 < cpu_limit_millicores < figures.MIGRATION_CPU_MILLICORES:
        return Because(cpu_limit_millicores, "all of the limit of {cpu_limit_millicores}")
    return Because(
        figures.MIGRATION_CPU_MILLICORES, "a migration waits for the database and computes little"
    )


@MIGRATION.number(field=f"{_RESOURCES}.limits.memory", amount="memory")
def _memory_limit_bytes(*, app_memory_bytes: int, request_bytes: int | None) -> Because[int]:
    """The memory limit of an app pod; at least the request of the spec.

    It imports the same code.
    """
    if request_bytes is not None and request_bytes > app_memory_bytes:
        return Because(request_bytes, "the memory request is {request_bytes}")
    return Because(app_memory_bytes, "that of an app pod: it imports the same models")


@MIGRATION.number(field=f"{_RESOURCES}.requests.memory", amount="memory")
def _memory_request_bytes(*, memory_limit_bytes: int) -> Because[int]:
    """The limit."""
    return memory_equal_to_limit(memory_limit_bytes)
