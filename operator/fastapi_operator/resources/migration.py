"""The Job that changes the database's schema before a new version of the app serves."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.postgres import Migrations
from fastapi_operator.api.service import FastAPIService
from fastapi_operator.parts import Part
from fastapi_operator.resources import companions, migration_checks, objects, pod
from fastapi_operator.resources.app import environment_fields, pod_account
from fastapi_operator.resources.desired import Desired, Gate, Write
from fastapi_operator.resources.environment import environment_files
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.variable import Process
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import MigrationPlan

DEFAULT_COMMAND = ("alembic", "upgrade", "head")


def migration_key(service: FastAPIService) -> str | None:
    """Returns the key of a service's migration; None if it has none.

    A migration whose key has succeeded never runs again. The key changes with the image as
    written, with the command, and with the field ``retry``.
    """
    migrations = _migrations(service)
    if migrations is None:
        return None
    return naming.content_hash(
        {
            "image": service.spec.image,
            "command": list(migrations.command or DEFAULT_COMMAND),
            "retry": migrations.retry,
        }
    )


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the migration's Job; none without ``spec.postgres.migrations``."""
    migrations, key = _migrations(inputs.service), migration_key(inputs.service)
    plan = inputs.plan.migration
    if migrations is None or key is None or plan is None:
        return ()
    mounts, volumes = environment_files(inputs, Process.MIGRATION)
    container = _container(inputs, migrations, plan, mounts)
    # A proxy of the user starts before the checks and ends after them, since they may need it.
    sidecars = [
        *companions.native_sidecars(inputs.spec),
        migration_checks.sidecar(inputs, plan, mounts),
    ]
    template = pod.pod_template(
        inputs,
        Part.MIGRATION,
        sidecars=sidecars,
        containers=(container,),
        volumes=[
            *companions.volumes(inputs.spec, (*sidecars, container), migrations.volumes or ()),
            *volumes,
        ],
        grace_seconds=figures.GRACEFUL_MIN_SECONDS,
        restartPolicy="Never",
        **pod_account(inputs),
    )
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": objects.metadata(inputs, Part.MIGRATION, inputs.name_of(Part.MIGRATION, key)),
        "spec": {
            # A failed migration may have done a part of its work, so it is not repeated by itself.
            # While the database does not respond, the checks are restarted and it does not start.
            "backoffLimit": 0,
            "activeDeadlineSeconds": plan.deadline_seconds.value,
            "template": template,
        },
    }
    return (Desired(Part.MIGRATION, body, write=Write.CREATE_ONCE, gate=Gate.DATABASE),)


def _migrations(service: FastAPIService) -> Migrations | None:
    return service.spec.postgres.migrations if service.spec.postgres else None


def _container(
    inputs: Inputs, migrations: Migrations, plan: MigrationPlan, mounts: Mapping[str, str]
) -> dict[str, Any]:
    return pod.container(
        Part.MIGRATION.record.container,
        image=inputs.spec.image,
        pull_policy=inputs.spec.image_pull_policy or "IfNotPresent",
        command=migrations.command or DEFAULT_COMMAND,
        **environment_fields(inputs, Process.MIGRATION, migrations.env or ()),
        resources=pod.resources(
            cpu_request=plan.cpu_request_millicores.value,
            cpu_limit=plan.cpu_limit_millicores.value,
            memory_request=plan.memory_request_bytes.value,
            memory_limit=plan.memory_limit_bytes.value,
        ),
        mounts=mounts,
        extra_mounts=companions.mounts(inputs.spec, migrations.volume_mounts or ()),
    )
