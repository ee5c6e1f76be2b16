"""``spec.background`` and ``spec.schedules``: other processes of the app's image."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.compute import Resources
from fastapi_operator.api.model import Arguments, Model, ShortName, Variables

# Five fields of digits, names, ranges, lists and steps. The time zone is a separate field.
CronExpression = Annotated[
    str,
    StringConstraints(
        pattern=r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)"
        r"|[A-Za-z0-9*/,-]+( [A-Za-z0-9*/,-]+){4})$",
        max_length=100,
    ),
]


class WorkerScaling(Model):
    """The number of pods of a queue worker, by the tasks that wait. KEDA scales them."""

    list_name: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9._:/@-]+$", min_length=1, max_length=200)
    ] = Field(
        description="Key of the waiting tasks in spec.queue: a list, a set or a sorted set. Celery "
        "uses the name of its queue, by default celery; arq uses arq:queue, dramatiq "
        "dramatiq:default.",
        examples=["celery"],
    )
    tasks_per_replica: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Number of waiting tasks for each pod. Default: 10 for each process of a pod.",
        examples=[40],
    )
    min_replicas: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Smallest number of pods. Default: 0.",
        examples=[1],
    )
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Largest number of pods. All of them count in the connection budget. "
        "Default: 1.",
        examples=[5],
    )
    scale_down_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Seconds without waiting tasks before pods are removed. Default: 300.",
        examples=[600],
    )


class Background(Model):
    """A background process, for example a Celery worker or Celery beat."""

    name: ShortName = Field(
        description="Name of the process, unique among background and schedules.",
        examples=["worker"],
    )
    command: Arguments = Field(
        description="Command of the process, run in the app's image.",
        examples=[["celery", "-A", "shop.tasks", "worker"]],
    )
    args: Arguments | None = Field(
        default=None,
        description="Arguments of command. Default: none.",
        examples=[["--loglevel", "info"]],
    )
    replicas: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Number of pods of the process. Default: 1.",
        examples=[2],
    )
    scaling: WorkerScaling | None = Field(
        default=None,
        description="Autoscaling of a queue worker by waiting tasks, with KEDA, also to zero. "
        "Default: the fixed number replicas.",
    )
    singleton: bool | None = Field(
        default=None,
        description="Whether at most one pod may run at any time, also during a rollout. A "
        "scheduler, for example Celery beat, requires it. Default: false.",
        examples=[True],
    )
    processes: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Number of processes in each pod that open database connections, for the "
        "connection budget. For Celery, count the children (--concurrency) without their parent. "
        "Default: 1.",
        examples=[4],
    )
    connections_per_process: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Number of database connections of each process. 0 if the process uses no "
        "database. Default: 2.",
        examples=[1],
    )
    resources: Resources | None = Field(
        default=None, description="Resources of each pod. Default: derived from processes."
    )
    env: Variables | None = Field(
        default=None,
        description="Environment variables in addition to the app's, as in a Pod's container. "
        "Default: none.",
        examples=[[{"name": "QUEUES", "value": "mail"}]],
    )
    graceful_seconds: int | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="Seconds that a running task may take at shutdown. Default: 60.",
        examples=[300],
    )
    liveness_command: Arguments | None = Field(
        default=None,
        description="Command that fails if the process must be restarted. Default: none.",
        examples=[["celery", "-A", "shop.tasks", "inspect", "ping"]],
    )


class Schedule(Model):
    """A command that runs at set times."""

    name: ShortName = Field(
        description="Name of the job, unique among background and schedules.",
        examples=["report"],
    )
    schedule: CronExpression = Field(
        description="Times of the runs, as five cron fields.", examples=["0 6 * * 1-5"]
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
        description="Command of the job, run in the app's image.",
        examples=[["python", "-m", "shop.report"]],
    )
    args: Arguments | None = Field(
        default=None,
        description="Arguments of command. Default: none.",
        examples=[["--yesterday"]],
    )
    concurrency: Literal["Forbid", "Allow", "Replace"] | None = Field(
        default=None,
        description="Whether a run may start while the previous one is still running. Forbid skips "
        "it, Allow starts it, Replace ends the previous run first. Default: Forbid.",
        examples=["Forbid"],
    )
    suspend: bool | None = Field(
        default=None,
        description="Whether no new runs start. Default: false.",
        examples=[True],
    )
    timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=604_800,
        description="Seconds after which a run is stopped and counts as failed. Default: 3600.",
        examples=[600],
    )
    retries: int | None = Field(
        default=None,
        ge=0,
        le=20,
        description="Number of retries of a failed run. Default: 0.",
        examples=[2],
    )
    connections_per_process: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Number of database connections of a run. 0 if it uses no database. "
        "Default: 2.",
        examples=[1],
    )
    resources: Resources | None = Field(
        default=None, description="Resources of each run. Default: derived."
    )
    env: Variables | None = Field(
        default=None,
        description="Environment variables in addition to the app's, as in a Pod's container. "
        "Default: none.",
        examples=[[{"name": "REPORT", "value": "daily"}]],
    )
