"""The Job that changes the schema: how long it may take, how often it is tried, what it gets."""

from fastapi_operator.api.postgres import Migrations
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, decide, fixed, overridden
from fastapi_operator.tuning.plan import ComputePlan, MigrationPlan


def migration_plan(migrations: Migrations, compute: ComputePlan) -> MigrationPlan:
    """The numbers of the migration's Job."""
    return MigrationPlan(
        deadline_seconds=fixed(
            "migration.deadline_seconds",
            figures.MIGRATION_TIMEOUT_SECONDS,
            "the new version waits until the Job ends; a migration that moves data may need more",
            unit="seconds",
            effect=effects.OBJECT_NONE,
            override=overridden(
                migrations.timeout_seconds, "spec.postgres.migrations.timeoutSeconds"
            ),
        ),
        retries=fixed(
            "migration.retries",
            figures.MIGRATION_RETRIES,
            "a lock that was not free or a connection that broke deserves another try, a wrong "
            "statement fails each time",
            unit="retries",
            effect=effects.OBJECT_NONE,
        ),
        cpu_request_millicores=fixed(
            "migration.cpu_request_millicores",
            figures.MIGRATION_CPU_MILLICORES,
            "a migration waits for the database, it hardly computes",
            unit="",
            effect=effects.OBJECT_NONE,
        ),
        memory_limit_bytes=decide(
            "migration.memory_limit_bytes",
            _memory,
            unit="",
            app_memory_bytes=compute.memory_limit_bytes,
            effect=effects.OBJECT_NONE,
        ),
    )


def _memory(*, app_memory_bytes: int) -> Because[int]:
    return Because(app_memory_bytes, "that of an app pod, since it imports the same models")
