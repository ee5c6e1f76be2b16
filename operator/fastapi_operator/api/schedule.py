"""``spec.background`` and ``spec.schedules``: other processes of the app's image."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.compute import Resources
from fastapi_operator.api.model import Arguments, Model, PodParts, ShortName

# Five fields of digits, names, ranges, lists and steps; a zone has its own field.
CronExpression = Annotated[
    str,
    StringConstraints(
        pattern=r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)"
        r"|[A-Za-z0-9*/,-]+( [A-Za-z0-9*/,-]+){4})$",
        max_length=100,
    ),
]


class Background(Model):
    """A process that runs beside the app, such as a Celery worker or its beat."""

    name: ShortName = Field(
        description="Name of the process, unique among background and schedules.",
        examples=["worker"],
    )
    command: Arguments = Field(
        description="Its whole command, run in the app's image.",
        examples=[["celery", "-A", "shop.tasks", "worker"]],
    )
    args: Arguments | None = Field(
        default=None,
        description="Arguments of command. Default: none.",
        examples=[["--loglevel", "info"]],
    )
    replicas: int | None = Field(
        default=None, ge=0, le=1000, description="Pods of the process. Default: 1.", examples=[2]
    )
    singleton: bool | None = Field(
        default=None,
        description="At most one pod at any time, also during a rollout, as a scheduler such as "
        "Celery beat needs. Default: false.",
        examples=[True],
    )
    processes: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Processes in each pod that open database connections, for the connection "
        "budget: of Celery the children (--concurrency), not their parent. Default: 1.",
        examples=[4],
    )
    connections_per_process: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Database connections of each process; 0 for one that uses no database. "
        "Default: 2.",
        examples=[1],
    )
    resources: Resources | None = Field(
        default=None, description="Resources of each pod. Default: derived from its processes."
    )
    env: PodParts | None = Field(
        default=None,
        description="Variables beside those of the app, as in a Pod's container. Default: none.",
        examples=[[{"name": "QUEUES", "value": "mail"}]],
    )
    graceful_seconds: int | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="Seconds that the task under way may take at shutdown. Default: 60.",
        examples=[300],
    )
    liveness_command: Arguments | None = Field(
        default=None,
        description="Command that fails when the process must be restarted. Default: none.",
        examples=[["celery", "-A", "shop.tasks", "inspect", "ping"]],
    )


class Schedule(Model):
    """A command that runs at set times."""

    name: ShortName = Field(
        description="Name of the job, unique among background and schedules.",
        examples=["report"],
    )
    schedule: CronExpression = Field(
        description="When to run, as five cron fields.", examples=["0 6 * * 1-5"]
    )
    time_zone: Annotated[
        str | None,
        StringConstraints(pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", max_length=64),
    ] = Field(
        default=None,
        description="Time zone of the schedule. Default: Etc/UTC.",
        examples=["Europe/Oslo"],
    )
    command: Arguments = Field(
        description="Its whole command, run in the app's image.",
        examples=[["python", "-m", "shop.report"]],
    )
    args: Arguments | None = Field(
        default=None,
        description="Arguments of command. Default: none.",
        examples=[["--yesterday"]],
    )
    concurrency: Literal["Forbid", "Allow", "Replace"] | None = Field(
        default=None,
        description="What happens when the last run is not over. Default: Forbid.",
        examples=["Forbid"],
    )
    timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=604_800,
        description="Seconds after which a run is given up. Default: 3600.",
        examples=[600],
    )
    retries: int | None = Field(
        default=None,
        ge=0,
        le=20,
        description="Further attempts of a failed run. Default: 0.",
        examples=[2],
    )
    connections_per_process: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Database connections of a run; 0 for one that uses no database. Default: 2.",
        examples=[1],
    )
    resources: Resources | None = Field(
        default=None, description="Resources of each run. Default: derived."
    )
    env: PodParts | None = Field(
        default=None,
        description="Variables beside those of the app, as in a Pod's container. Default: none.",
        examples=[[{"name": "REPORT", "value": "daily"}]],
    )
