"""``spec.background`` and ``spec.schedules``: what the processes beside the app are given."""

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi_operator.api.schedule import Background, Schedule
from fastapi_operator.api.service import Spec
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.budget import Claim
from fastapi_operator.tuning.compute import amounts, memory_equal_to_limit, native_threads
from fastapi_operator.tuning.decision import Because, Decision, decide, overridden
from fastapi_operator.tuning.plan import BackgroundPlan, DatabasePlan, ProcessPlan, SchedulePlan


def background_plans(spec: Spec, database: DatabasePlan | None) -> tuple[BackgroundPlan, ...]:
    """The numbers of each background process."""
    return tuple(_background(entry, database) for entry in spec.background or ())


def schedule_plans(spec: Spec, database: DatabasePlan | None) -> tuple[SchedulePlan, ...]:
    """The numbers of each schedule."""
    return tuple(_schedule(entry, database) for entry in spec.schedules or ())


def process_claims(
    background: Iterable[BackgroundPlan], schedules: Iterable[SchedulePlan]
) -> Iterator[Claim]:
    """What each of them claims of the connection budget at its peak."""
    for worker in background:
        yield _claim(worker, "background", pods=worker.peak_pods.value)
    for schedule in schedules:
        yield _claim(schedule, "schedules", pods=schedule.runs.value)


def _claim(plan: ProcessPlan, section: str, *, pods: int) -> Claim:
    return Claim(
        name=plan.name,
        path=f"spec.{section}[{plan.name}]",
        processes=pods * plan.processes.value,
        per_process=plan.connections.value,
    )


def _background(entry: Background, database: DatabasePlan | None) -> BackgroundPlan:
    name, path = f"background.{entry.name}", f"spec.background[{entry.name}]"
    replicas = decide(
        f"{name}.replicas",
        _replicas,
        unit="pods",
        override=overridden(entry.replicas, f"{path}.replicas"),
        effect=effects.OBJECT_NONE,
    )
    graceful = decide(
        f"{name}.graceful_seconds",
        _graceful_seconds,
        unit="seconds",
        override=overridden(entry.graceful_seconds, f"{path}.gracefulSeconds"),
        effect=effects.OBJECT_ROLLOUT,
    )
    processes = decide(
        f"{name}.processes",
        _processes,
        unit="processes",
        override=overridden(entry.processes, f"{path}.processes"),
        effect=effects.APP_ROLLOUT,
    )
    return BackgroundPlan(
        **_process(name, path, entry, processes, database),
        replicas=replicas,
        peak_pods=decide(
            f"{name}.peak_pods",
            _peak_pods,
            unit="pods",
            replicas=replicas,
            singleton=entry.singleton or False,
            effect=effects.OBJECT_NONE,
        ),
        graceful_seconds=graceful,
        grace_seconds=decide(
            f"{name}.grace_seconds",
            _grace_seconds,
            unit="seconds",
            graceful_seconds=graceful,
            effect=effects.OBJECT_ROLLOUT,
        ),
    )


def _schedule(entry: Schedule, database: DatabasePlan | None) -> SchedulePlan:
    name, path = f"schedules.{entry.name}", f"spec.schedules[{entry.name}]"
    processes = decide(
        f"{name}.processes", _processes, unit="processes", effect=effects.OBJECT_NONE
    )
    return SchedulePlan(
        **_process(name, path, entry, processes, database),
        runs=decide(
            f"{name}.runs",
            _runs,
            unit="pods",
            concurrency=entry.concurrency or "Forbid",
            effect=effects.OBJECT_NONE,
        ),
        timeout_seconds=decide(
            f"{name}.timeout_seconds",
            _timeout_seconds,
            unit="seconds",
            override=overridden(entry.timeout_seconds, f"{path}.timeoutSeconds"),
            effect=effects.OBJECT_NONE,
        ),
        retries=decide(
            f"{name}.retries",
            _retries,
            unit="attempts",
            override=overridden(entry.retries, f"{path}.retries"),
            effect=effects.OBJECT_NONE,
        ),
    )


def _process(
    name: str,
    path: str,
    entry: Background | Schedule,
    processes: Decision[int],
    database: DatabasePlan | None,
) -> dict[str, Any]:
    """The fields that both kinds have, as ``ProcessPlan`` names them."""
    given = amounts(entry.resources)
    cpu_limit = decide(
        f"{name}.cpu_limit_millicores",
        _no_cpu_limit,
        unit="",
        override=overridden(given.cpu_limit, f"{path}.resources.limits.cpu"),
        effect=effects.OBJECT_ROLLOUT,
    )
    cpu_request = decide(
        f"{name}.cpu_request_millicores",
        _cpu_request,
        unit="",
        override=overridden(given.cpu_request, f"{path}.resources.requests.cpu"),
        processes=processes,
        limit_millicores=cpu_limit,
        effect=effects.OBJECT_ROLLOUT,
    )
    memory_limit = decide(
        f"{name}.memory_limit_bytes",
        _memory_limit,
        unit="",
        override=overridden(given.memory_limit, f"{path}.resources.limits.memory"),
        processes=processes,
        process_memory_bytes=figures.WORKER_MEMORY_BYTES,
        request_bytes=given.memory_request,
        effect=effects.OBJECT_ROLLOUT,
    )
    return {
        "name": entry.name,
        "processes": processes,
        "connections": decide(
            f"{name}.connections",
            _connections,
            unit="connections",
            override=overridden(entry.connections_per_process, f"{path}.connectionsPerProcess"),
            service_connections=database and database.service_connections.value,
            effect=effects.APP_ROLLOUT,
        ),
        "cpu_request_millicores": cpu_request,
        "cpu_limit_millicores": cpu_limit,
        "memory_request_bytes": decide(
            f"{name}.memory_request_bytes",
            memory_equal_to_limit,
            unit="",
            override=overridden(given.memory_request, f"{path}.resources.requests.memory"),
            limit_bytes=memory_limit,
            effect=effects.OBJECT_ROLLOUT,
        ),
        "memory_limit_bytes": memory_limit,
        "native_threads": decide(
            f"{name}.native_threads",
            native_threads,
            unit="threads",
            cpu_millicores=cpu_limit.value or cpu_request.value,
            effect=effects.APP_ROLLOUT,
        ),
    }


def _replicas() -> Because[int]:
    return Because(1, "a queue keeps what a pod that is replaced has not taken")


def _peak_pods(*, replicas: int, singleton: bool) -> Because[int]:
    if singleton:
        return Because(replicas, "a singleton's next pod starts when the last one is gone")
    return Because(
        2 * replicas,
        "twice {replicas} while a rollout lasts: pods of the old version finish their tasks beside "
        "the new ones",
    )


def _processes() -> Because[int]:
    return Because(1, "a command is one process unless the spec says that it starts more")


def _connections(*, service_connections: int | None) -> Because[int]:
    if service_connections is None:
        return Because(0, "there is no spec.postgres")
    return Because(
        min(figures.PROCESS_CONNECTIONS, service_connections),
        "one for the task and one for what it does beside; connectionsPerProcess sets it",
    )


def _graceful_seconds() -> Because[int]:
    return Because(figures.BACKGROUND_GRACEFUL_SECONDS, "the task under way may finish")


def _grace_seconds(*, graceful_seconds: int) -> Because[int]:
    return Because(
        graceful_seconds + figures.GRACE_MARGIN_SECONDS,
        f"{{graceful_seconds}} s to finish, and {figures.GRACE_MARGIN_SECONDS} s before the "
        "kubelet kills",
    )


def _runs(*, concurrency: str) -> Because[int]:
    if concurrency == "Forbid":
        return Because(1, "a run that would meet the one before it is left out")
    return Because(2, "with concurrency {concurrency} a run may meet the one before it")


def _timeout_seconds() -> Because[int]:
    return Because(
        figures.SCHEDULE_TIMEOUT_SECONDS, "a run that hangs would hold up those after it for ever"
    )


def _retries() -> Because[int]:
    return Because(0, "only its author knows whether a command may run twice")


def _no_cpu_limit() -> Because[int]:
    return Because(0, "none: a quota stalls a task that could be over sooner")


def _cpu_request(*, processes: int, limit_millicores: int) -> Because[int]:
    wanted = processes * figures.PROCESS_CPU_MILLICORES
    if 0 < limit_millicores < wanted:
        return Because(limit_millicores, "all of the limit of {limit_millicores}")
    return Because(wanted, "a quarter of a core a process, processes: {processes}")


def _memory_limit(
    *, processes: int, process_memory_bytes: int, request_bytes: int | None
) -> Because[int]:
    supervisor = figures.SUPERVISOR_MEMORY_BYTES if processes > 1 else 0
    grown = figures.WORKER_MEMORY_MARGIN * processes * process_memory_bytes
    step = figures.MEMORY_ROUNDING_BYTES
    limit = -(-int((supervisor + grown) / figures.MEMORY_FILL) // step) * step
    if request_bytes is not None and request_bytes > limit:
        return Because(request_bytes, "the memory request of {request_bytes}, which asks for more")
    return Because(
        limit,
        "{process_memory_bytes} a process (processes: {processes}) and a fifth for growth fill "
        "four fifths, rounded up to 32Mi",
    )
