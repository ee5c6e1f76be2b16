"""Commands of the app's image that run at set times."""

import dataclasses

from fastapi_operator.api.schedule import Schedule
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired, Gate
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.process import process_name, process_template
from fastapi_operator.resources.variable import Process
from fastapi_operator.tuning import figures
from fastapi_operator.tuning.plan import SchedulePlan

DEFAULT_TIME_ZONE = "Etc/UTC"


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds a CronJob for each of ``spec.schedules``; all of them wait for the migration."""
    pairs = zip(inputs.spec.schedules or (), inputs.plan.schedules, strict=True)
    return tuple(
        _cron_job(dataclasses.replace(inputs, process=plan), entry, plan) for entry, plan in pairs
    )


def _cron_job(inputs: Inputs, entry: Schedule, plan: SchedulePlan) -> Desired:
    template = process_template(
        inputs,
        Part.SCHEDULES,
        Process.SCHEDULE,
        entry,
        grace_seconds=figures.GRACEFUL_MIN_SECONDS,
        restartPolicy="Never",
    )
    name = process_name(inputs, Part.SCHEDULES, entry.name)
    body = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": objects.metadata(inputs, Part.SCHEDULES, name),
        "spec": {
            "schedule": entry.schedule,
            "timeZone": entry.time_zone or DEFAULT_TIME_ZONE,
            # False is the default, which `reconcile/plan/switches.py` restores.
            **({"suspend": True} if entry.suspend else {}),
            "concurrencyPolicy": entry.concurrency or "Forbid",
            "startingDeadlineSeconds": figures.SCHEDULE_DEADLINE_SECONDS,
            "successfulJobsHistoryLimit": figures.SUCCEEDED_RUNS_KEPT,
            "failedJobsHistoryLimit": figures.FAILED_RUNS_KEPT,
            "jobTemplate": {
                # Without the labels that the operator watches: the CronJob owns its runs.
                "metadata": {"labels": inputs.selector(Part.SCHEDULES)},
                "spec": {
                    "backoffLimit": plan.retries.value,
                    "activeDeadlineSeconds": plan.timeout_seconds.value,
                    "template": template,
                },
            },
        },
    }
    return Desired(Part.SCHEDULES, body, gate=Gate.MIGRATED)
