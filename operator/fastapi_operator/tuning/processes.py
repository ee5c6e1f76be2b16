"""``spec.background`` and ``spec.schedules``: the numbers of the processes beside the app."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastapi_operator.api.schedule import Background, Schedule
from fastapi_operator.api.service import Spec
from fastapi_operator.facts import SCALED_OBJECT, Facts
from fastapi_operator.problems import Problem, Severity, Stage, missing_api
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.amounts import amounts
from fastapi_operator.tuning.budget import Claim
from fastapi_operator.tuning.compute import memory_equal_to_limit, native_threads, round_up
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Formula, Group
from fastapi_operator.tuning.plan import BackgroundPlan, DatabasePlan, ProcessPlan, SchedulePlan
from fastapi_operator.tuning.profile import ProfiledSpec
from fastapi_operator.tuning.programs import started_processes

BACKGROUND = Group("background", effects.OBJECT_NONE, entry=Background)
WORKER_SCALING = Group("background", effects.OBJECT_NONE, entry=Background, case="with scaling")
SCHEDULES = Group("schedules", effects.OBJECT_NONE, entry=Schedule)
# Of a worker with scaling.
_MAX_REPLICAS = 1


def background_plans(
    profiled: ProfiledSpec, database: DatabasePlan | None
) -> tuple[BackgroundPlan, ...]:
    """Decides the numbers of each background process."""
    return tuple(
        _background_plan(profiled, database, entry) for entry in profiled.spec.background or ()
    )


def _background_plan(
    profiled: ProfiledSpec, database: DatabasePlan | None, entry: Background
) -> BackgroundPlan:
    most = None if entry.scaling is None else entry.scaling.max_replicas or _MAX_REPLICAS
    decided = BACKGROUND.decide(
        profiled,
        entry=entry,
        **_known(entry, database),
        singleton=entry.singleton or False,
        most=most,
        started=started_processes(entry),
    )
    if entry.scaling is not None:
        processes = decided["processes"]
        decided |= WORKER_SCALING.decide(profiled, entry=entry, processes=processes)
    return BackgroundPlan(name=entry.name, **decided)


def worker_scaling_problems(spec: Spec, facts: Facts) -> Iterator[Problem]:
    """Reports workers that nothing can scale."""
    for entry in spec.background or ():
        if entry.scaling is not None and not facts.offers(SCALED_OBJECT):
            yield missing_api(
                f"spec.background[{entry.name}].scaling",
                SCALED_OBJECT,
                "install KEDA, or set replicas; offline, name the API in --facts",
            )


def schedule_plans(
    profiled: ProfiledSpec, database: DatabasePlan | None
) -> tuple[SchedulePlan, ...]:
    """Decides the numbers of each schedule."""
    return tuple(
        SchedulePlan(
            name=entry.name,
            **SCHEDULES.decide(
                profiled,
                entry=entry,
                **_known(entry, database),
                concurrency=entry.concurrency or "Forbid",
            ),
        )
        for entry in profiled.spec.schedules or ()
    )


def process_claims(
    background: Iterable[BackgroundPlan], schedules: Iterable[SchedulePlan]
) -> Iterator[Claim]:
    """Returns the connections that each of them claims of the budget at its peak."""
    for worker in background:
        yield _claim(worker, "background", pods=worker.peak_pods.value)
    for schedule in schedules:
        yield _claim(schedule, "schedules", pods=schedule.runs.value)


def container_problems(spec: Spec) -> Iterator[Problem]:
    """Reports additional containers of the app, which its other processes do not get."""
    sections = {
        "spec.postgres.migrations": spec.postgres and spec.postgres.migrations,
        "spec.background": spec.background,
        "spec.schedules": spec.schedules,
    }
    others = " and ".join(path for path, section in sections.items() if section)
    for container in spec.containers or () if others else ():
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path=f"spec.containers[{container['name']}]",
            message=f"runs only in the app's pods, not in those of {others}",
            remedy="if they need it, move it to spec.initContainers with restartPolicy: Always; a "
            "Job ends only if its sidecars are native",
        )


def _claim(plan: ProcessPlan, section: str, *, pods: int) -> Claim:
    return Claim(
        name=plan.name,
        path=f"spec.{section}[{plan.name}]",
        processes=pods * plan.processes.value,
        per_process=plan.connections.value,
    )


def _known(entry: Background | Schedule, database: DatabasePlan | None) -> dict[str, Any]:
    return {
        "service_connections": database and database.service_connections.value,
        "process_memory_bytes": figures.WORKER_MEMORY_BYTES,
        "request_bytes": amounts(entry.resources).memory_request,
    }


def _both(**declaration: Any) -> Callable[[Formula], Formula]:
    """Declares a number of background processes and of schedules."""

    def declare(formula: Formula) -> Formula:
        for group in (BACKGROUND, SCHEDULES):
            group.number(**declaration)(formula)
        return formula

    return declare


@BACKGROUND.number(unit="pods", field=("replicas", "scaling.minReplicas"))
def _replicas(*, most: int | None) -> Because[int]:
    """1; with scaling 0, from which KEDA adds pods."""
    if most is None:
        return Because(1, "a queue keeps the tasks of a pod that is being replaced")
    return Because(0, "without tasks no pod is needed; KEDA adds up to {most}")


BACKGROUND.constant(
    "graceful_seconds",
    60,
    "the task under way may finish",
    effect=effects.OBJECT_ROLLOUT,
    field="gracefulSeconds",
    evidence="judgement",
)
WORKER_SCALING.constant(
    "max_replicas",
    _MAX_REPLICAS,
    "each pod takes connections of the budget, so more need scaling.maxReplicas",
    unit="pods",
    field="scaling.maxReplicas",
)
WORKER_SCALING.constant(
    "scale_down_seconds",
    300,
    "a short pause between tasks starts and stops no pods",
    field="scaling.scaleDownSeconds",
    evidence="judgement",
)


@WORKER_SCALING.number(unit="tasks", field="scaling.tasksPerReplica")
def _tasks_per_replica(*, processes: int) -> Because[int]:
    """10 · processes (judgement)."""
    return Because(
        figures.TASKS_PER_PROCESS * processes,
        f"{figures.TASKS_PER_PROCESS} waiting tasks for each process, processes: {{processes}}",
    )


_ONE_PROCESS = "a command is one process unless the spec declares that it starts more"


@BACKGROUND.number(unit="processes", effect=effects.APP_ROLLOUT, field="processes")
def _processes(*, started: int | None) -> Because[int]:
    """The number in the command, for example Celery's `--concurrency`; otherwise 1.

    A Celery worker without it gets the number from `CELERY_WORKER_CONCURRENCY`. By itself it would
    start one process for each core of the node.
    """
    if started is None:
        return Because(1, _ONE_PROCESS)
    return Because(started, "the command starts {started}")


SCHEDULES.constant("processes", 1, _ONE_PROCESS, unit="processes")


@BACKGROUND.number(unit="pods")
def _peak_pods(*, replicas: int, singleton: bool, most: int | None) -> Because[int]:
    """2 · replicas, or 2 · scaling.maxReplicas; for a singleton its replicas.

    A Deployment starts the next pod while the last one finishes its task: for as long as
    `gracefulSeconds`, both hold connections.
    """
    if singleton:
        return Because(replicas, "a singleton's next pod starts after the last one has ended")
    if most is not None:
        return Because(
            2 * most,
            "twice the {most} of scaling.maxReplicas while a rollout lasts: pods of the old "
            "version finish their tasks beside the new ones",
        )
    return Because(
        2 * replicas,
        "twice {replicas} while a rollout lasts: pods of the old version finish their tasks beside "
        "the new ones",
    )


@BACKGROUND.number(effect=effects.OBJECT_ROLLOUT)
def _grace_seconds(*, graceful_seconds: int) -> Because[int]:
    """graceful_seconds + 10.

    The kubelet kills the pod after this time. There is no preStop: these pods get no requests.
    """
    return Because(
        graceful_seconds + figures.GRACE_MARGIN_SECONDS,
        f"{{graceful_seconds}} s to finish, and {figures.GRACE_MARGIN_SECONDS} s before the "
        "kubelet kills the pod",
    )


@SCHEDULES.number(unit="pods")
def _runs(*, concurrency: str) -> Because[int]:
    """1 with `Forbid`, otherwise 2: the runs that may overlap.

    With `Allow` more may overlap if a run outlasts two intervals; max_client_conn of the pooler
    bounds them all the same.
    """
    if concurrency == "Forbid":
        return Because(1, "a run is skipped if the one before it has not ended")
    return Because(2, "with concurrency {concurrency} a run may overlap the one before it")


SCHEDULES.constant(
    "timeout_seconds",
    3600,
    "a run that hangs would block all later ones",
    field="timeoutSeconds",
    evidence="judgement",
)
SCHEDULES.constant(
    "retries",
    0,
    "only its author knows whether a command may run twice",
    unit="attempts",
    field="retries",
)


@_both(unit="connections", effect=effects.APP_ROLLOUT, field="connectionsPerProcess")
def _connections(*, service_connections: int | None) -> Because[int]:
    """2; 0 without `spec.postgres` (judgement)."""
    if service_connections is None:
        return Because(0, "there is no spec.postgres")
    return Because(
        min(figures.PROCESS_CONNECTIONS, service_connections),
        "one for the task and one for work beside it; connectionsPerProcess sets it",
    )


@_both(effect=effects.OBJECT_ROLLOUT, field="resources.limits.cpu", amount="cpu")
def _cpu_limit_millicores() -> Because[int]:
    """No limit."""
    return Because(0, "none: a quota delays a task that could end earlier")


@_both(effect=effects.OBJECT_ROLLOUT, field="resources.requests.cpu", amount="cpu")
def _cpu_request_millicores(*, processes: int, cpu_limit_millicores: int) -> Because[int]:
    """250m · processes, at most the limit.

    A task waits most of the time (judgement).
    """
    wanted = processes * figures.PROCESS_CPU_MILLICORES
    if 0 < cpu_limit_millicores < wanted:
        return Because(cpu_limit_millicores, "all of the limit of {cpu_limit_millicores}")
    return Because(wanted, "a quarter of a core a process, processes: {processes}")


@_both(effect=effects.OBJECT_ROLLOUT, field="resources.limits.memory", amount="memory")
def _memory_limit_bytes(
    *, processes: int, process_memory_bytes: int, request_bytes: int | None
) -> Because[int]:
    """(1.2 · processes · 160 MiB + supervisor) / 0.8, in steps of 32 MiB.

    As for the app, without the bodies of requests. A supervisor of several takes 40 MiB.
    """
    supervisor = figures.SUPERVISOR_MEMORY_BYTES if processes > 1 else 0
    grown = figures.WORKER_MEMORY_MARGIN * processes * process_memory_bytes
    limit = round_up((supervisor + grown) / figures.MEMORY_FILL)
    if request_bytes is not None and request_bytes > limit:
        return Because(request_bytes, "the memory request is {request_bytes}")
    return Because(
        limit,
        "{process_memory_bytes} a process (processes: {processes}) and a fifth for growth fill "
        "four fifths, rounded up to 32Mi",
    )


@_both(effect=effects.OBJECT_ROLLOUT, field="resources.requests.memory", amount="memory")
def _memory_request_bytes(*, memory_limit_bytes: int) -> Because[int]:
    """The limit."""
    return memory_equal_to_limit(memory_limit_bytes)


@_both(unit="threads", effect=effects.APP_ROLLOUT)
def _native_threads(*, cpu_limit_millicores: int, cpu_request_millicores: int) -> Because[int]:
    """max(1, ⌊CPU limit, or else CPU request⌋)."""
    return native_threads(cpu_limit_millicores, cpu_request_millicores)
