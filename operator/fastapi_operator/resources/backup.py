"""Scheduled dumps of the database to a volume of their own, which is retained."""

from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.storage import Storage
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects, pod
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.inputs import DATABASE, Inputs
from fastapi_operator.resources.migration_checks import owner_environment
from fastapi_operator.resources.schedules import DEFAULT_TIME_ZONE
from fastapi_operator.resources.templates import render
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import BackupPlan

_DUMPS = "dumps"
_DIRECTORY = "/backup"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the volume of the dumps and the CronJob that writes them; none without a backup."""
    plan, postgres = inputs.plan.backup, inputs.spec.postgres
    if plan is None or postgres is None or postgres.backup is None:
        return ()
    claim = objects.volume_claim(
        inputs,
        Part.BACKUP,
        inputs.name_of(Part.BACKUP),
        size=plan.storage_bytes,
        storage_class=(postgres.backup.storage or Storage()).class_name,
        retain=postgres.deletion_policy != "Delete",
    )
    schedule = postgres.backup.schedule or figures.BACKUP_SCHEDULE
    return (claim, _cron_job(inputs, plan, schedule, claim.key.name))


def _cron_job(inputs: Inputs, plan: BackupPlan, schedule: str, claim: str) -> Desired:
    template = pod.pod_template(
        inputs,
        Part.BACKUP,
        containers=(_container(inputs, plan),),
        volumes=({"name": _DUMPS, "persistentVolumeClaim": {"claimName": claim}},),
        grace_seconds=figures.GRACEFUL_MIN_SECONDS,
        restartPolicy="Never",
    )
    name = naming.bounded(inputs.name_of(Part.BACKUP), naming.CRON_JOB_MAX_LENGTH)
    body = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": objects.metadata(inputs, Part.BACKUP, name),
        "spec": {
            "schedule": schedule,
            "timeZone": DEFAULT_TIME_ZONE,
            # Two runs would write to the same volume at once.
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": figures.SCHEDULE_DEADLINE_SECONDS,
            "successfulJobsHistoryLimit": figures.SUCCEEDED_RUNS_KEPT,
            "failedJobsHistoryLimit": figures.FAILED_RUNS_KEPT,
            "jobTemplate": {
                # Without the labels that the operator watches: the CronJob owns its runs.
                "metadata": {"labels": inputs.selector(Part.BACKUP)},
                "spec": {
                    "backoffLimit": figures.BACKUP_RETRIES,
                    "activeDeadlineSeconds": figures.BACKUP_TIMEOUT_SECONDS,
                    "template": template,
                },
            },
        },
    }
    return Desired(Part.BACKUP, body, gate=Gate.DATABASE)


def _container(inputs: Inputs, plan: BackupPlan) -> dict[str, Any]:
    script = render(
        "postgres-backup.sh.j2", database=DATABASE, kept=plan.kept.value, directory=_DIRECTORY
    )
    return pod.container(
        Part.BACKUP.record.container,
        image=inputs.settings.images.postgres.reference,
        pull_policy=inputs.settings.image_pull_policy,
        command=("sh", "-c", script),
        # The owner reads every table and has no timeouts.
        env=owner_environment(inputs),
        resources=pod.resources(
            cpu_request=plan.cpu_request_millicores.value,
            memory_request=plan.memory_limit_bytes.value,
            memory_limit=plan.memory_limit_bytes.value,
        ),
        mounts={_DUMPS: _DIRECTORY},
    )
