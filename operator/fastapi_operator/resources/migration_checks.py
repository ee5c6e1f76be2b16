"""The sidecar of a migration: waits for the database, guards its clients, and reports the result.

The migration's container is the user's image, so the operator cannot rely on a ``psql`` in it. A
native sidecar with the image of PostgreSQL starts before it and is asked to end after it, whether
the migration succeeded or not. Its termination message is the report.
"""

from collections.abc import Mapping
from typing import Any

from fastapi_operator.parts import CHECKS, Part
from fastapi_operator.resources import pod
from fastapi_operator.resources.access import CA_FILE, Access, migrators_access
from fastapi_operator.resources.connections import AUTHORITY_DIRECTORY
from fastapi_operator.resources.inputs import DATABASE, MIGRATOR_ROLE, Inputs
from fastapi_operator.resources.templates import render
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import MigrationPlan

DIRECTORY = "/tmp/migration-checks"  # noqa: S108 (the pod's own emptyDir; it outlives a container)
MESSAGE_FILE = "/dev/termination-log"


def sidecar(inputs: Inputs, plan: MigrationPlan, mounts: Mapping[str, str]) -> dict[str, Any]:
    """Builds the sidecar.

    Args:
        inputs: The service.
        plan: The numbers of the migration.
        mounts: The files of the migration's environment, by volume.
    """
    script = render(
        "migration-checks.sh.j2",
        directory=DIRECTORY,
        message_file=MESSAGE_FILE,
        container=CHECKS,
        lock_timeout_seconds=plan.lock_timeout_seconds.value,
        attempts=figures.MIGRATION_CONNECT_ATTEMPTS,
        query_timeout_seconds=figures.MIGRATION_CHECK_SECONDS,
        most_problems=figures.MIGRATION_PROBLEMS_REPORTED,
    )
    return pod.container(
        CHECKS,
        image=inputs.settings.images.postgres.reference,
        pull_policy=inputs.settings.image_pull_policy,
        command=("sh", "-c", script),
        env=owner_environment(inputs),
        startupProbe=pod.probe(
            {"exec": {"command": ["test", "-e", f"{DIRECTORY}/started"]}},
            period=1,
            attempts=figures.MIGRATION_START_SECONDS,
        ),
        resources=pod.resources(
            cpu_request=figures.MIGRATION_CHECKS_CPU_MILLICORES,
            memory_request=figures.MIGRATION_CHECKS_MEMORY_BYTES,
            memory_limit=figures.MIGRATION_CHECKS_MEMORY_BYTES,
        ),
        mounts=mounts,
    )


def owner_environment(inputs: Inputs) -> list[dict[str, Any]]:
    """Returns libpq's variables for the role that owns the schema, as a migration has it."""
    database = migrators_access(inputs)
    if database is not None:
        return _external(database)
    return [
        {"name": "PGHOST", "value": inputs.name_of(Part.DATABASE)},
        {"name": "PGPORT", "value": str(Part.DATABASE.port)},
        {"name": "PGDATABASE", "value": DATABASE},
        {"name": "PGUSER", "value": MIGRATOR_ROLE},
        _of_secret("PGPASSWORD", inputs.name_of(Part.DATABASE), MIGRATOR_ROLE),
    ]


def _external(database: Access) -> list[dict[str, Any]]:
    keys, secret = database.keys, database.secret
    port = {"name": "PGPORT", "value": str(Part.DATABASE.port)}
    authority = {"name": "PGSSLROOTCERT", "value": f"{AUTHORITY_DIRECTORY}/{CA_FILE}"}
    return [
        _of_secret("PGHOST", secret, keys["host"]),
        _of_secret("PGPORT", secret, keys["port"]) if "port" in keys else port,
        _of_secret("PGDATABASE", secret, keys["dbname"]),
        _of_secret("PGUSER", secret, keys["username"]),
        _of_secret("PGPASSWORD", secret, keys["password"]),
        {"name": "PGSSLMODE", "value": database.ssl_mode},
        *((authority,) if database.authority is not None else ()),
    ]


def _of_secret(name: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
