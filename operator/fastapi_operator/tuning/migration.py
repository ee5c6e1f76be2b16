"""The Job that changes the schema: its time limit, its retries and its resources."""

from fastapi_operator.tuning import effects
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import ComputePlan, MigrationPlan
from fastapi_operator.tuning.profile import ProfiledSpec

MIGRATION = Group("migration", effects.OBJECT_NONE)


def migration_plan(profiled: ProfiledSpec, compute: ComputePlan) -> MigrationPlan:
    """Decides the numbers of the migration's Job."""
    return MigrationPlan(**MIGRATION.decide(profiled, app_memory_bytes=compute.memory_limit_bytes))


MIGRATION.constant(
    "deadline_seconds",
    1800,
    "the new version waits until the Job ends; a migration that moves data may need more",
    field="postgres.migrations.timeoutSeconds",
    evidence="judgement",
)
MIGRATION.constant(
    "retries",
    2,
    "a lock that was held or a connection that broke deserves another attempt, a wrong statement "
    "fails each time",
    unit="retries",
    evidence="judgement",
)
MIGRATION.constant(
    "cpu_request_millicores",
    100,
    "a migration waits for the database and computes little",
    evidence="judgement",
)


@MIGRATION.number()
def _memory_limit_bytes(*, app_memory_bytes: int) -> Because[int]:
    """The memory limit of an app pod.

    It imports the same code.
    """
    return Because(app_memory_bytes, "that of an app pod: it imports the same models")
