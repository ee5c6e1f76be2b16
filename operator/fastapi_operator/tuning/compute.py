"""CPU and memory of each app pod."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from fastapi_operator import quantity
from fastapi_operator.api.server import Server
from fastapi_operator.limit_ranges import CPU
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.amounts import Amounts, amounts
from fastapi_operator.tuning.decision import Because, Decision, Override, Source, display
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import BackgroundPlan, ComputePlan, ServerCore
from fastapi_operator.tuning.profile import ProfiledSpec

COMPUTE = Group("compute", effects.OBJECT_ROLLOUT)
_CPU_LIMITS = "set by cpuLimits of the profile: a core a worker, or the request if that is more"
_CPU_OF_A_LIMIT_RANGE = (
    "a LimitRange of the namespace would set a limit: a core a worker, or the request if that is "
    "more"
)


class ComputeBasis(NamedTuple):
    """The CPU and memory that decide the number of workers: never those of the node.

    Attributes:
        cpu_millicores: The CPU limit, or else the request.
        cpu_basis: Which of the two it is, in words.
        memory_bytes: The memory limit, or else the request; None if neither is set.
    """

    cpu_millicores: int
    cpu_basis: str
    memory_bytes: int | None


def compute_basis(profiled: ProfiledSpec) -> ComputeBasis:
    """Returns the CPU and memory of a pod, as far as spec and profile decide them."""
    given = amounts(profiled.spec.resources)
    memory = given.memory_limit or given.memory_request or profiled.most("resources.limits.memory")
    if given.cpu_limit is not None:
        return ComputeBasis(given.cpu_limit, "CPU limit", memory)
    if given.cpu_request is not None:
        return ComputeBasis(given.cpu_request, "CPU request", memory)
    derived = figures.CPU_REQUEST_MILLICORES_PER_WORKER
    most = profiled.most("resources.limits.cpu")
    cpu = derived if most is None else min(derived, most)
    return ComputeBasis(cpu, "CPU request (derived)", memory)


def compute_plan(profiled: ProfiledSpec, core: ServerCore) -> ComputePlan:
    """Decides the resources of each app pod."""
    spec, overrides = profiled.spec, {}
    given, workers = amounts(spec.resources), core.workers.value
    if profiled.limits_cpu:
        overrides["cpu_limit_millicores"] = _required_cpu_limit(profiled, workers, given)
    decided = COMPUTE.decide(
        profiled,
        overrides=overrides,
        workers=workers,
        worker_memory_bytes=worker_memory(profiled),
        worker_millicores=_worker_millicores(profiled),
        supervised=workers > 1 or (spec.server or Server()).effective_engine != "Uvicorn",
        concurrency=core.concurrency,
        request_bytes=given.memory_request,
    )
    return ComputePlan(**decided)


def worker_memory(profiled: ProfiledSpec) -> Any:
    """Returns the resident memory of a worker: never less than it has after its start."""
    return profiled.load.value(
        "worker_memory_bytes", figures.WORKER_MEMORY_BYTES, least=figures.WORKER_MEMORY_MIN_BYTES
    )


def _worker_millicores(profiled: ProfiledSpec) -> Any:
    """Returns the CPU request of a worker, of which its busiest step fills the target.

    A larger request would only make the autoscaler add pods later, so a measurement lowers it.
    """
    constant = figures.CPU_REQUEST_MILLICORES_PER_WORKER
    busiest = profiled.load.value("cpu_cores_per_worker")
    if busiest is None:
        return constant
    scaling = profiled.spec.scaling
    target = (scaling and scaling.target_cpu_percent) or figures.TARGET_CPU_PERCENT
    # In steps of 10m; the target is a percentage.
    wanted = 10 * math.ceil(100 * busiest.value / (target / 100))
    least = figures.CPU_REQUEST_MIN_MILLICORES_PER_WORKER
    return busiest._replace(value=min(max(wanted, least), constant), otherwise=constant)


def _required_cpu_limit(profiled: ProfiledSpec, workers: int, given: Amounts) -> Override:
    """The CPU limit that the profile or a LimitRange requires: a core a worker."""
    limit = max(workers * figures.CPU_LIMIT_MILLICORES_PER_WORKER, given.cpu_request or 0)
    most = profiled.limits.container.most.get(CPU)
    if most is not None and most.amount < limit:
        reason = (
            f"LimitRange {most.origin} permits at most {display('cpu_millicores', most.amount)}"
        )
        return Override(most.amount, reason, Source.DERIVED)
    if profiled.profile.cpu_limits:
        return Override(limit, _CPU_LIMITS, Source.PROFILE)
    return Override(limit, _CPU_OF_A_LIMIT_RANGE, Source.DERIVED)


def memory_problems(
    compute: ComputePlan, core: ServerCore, background: Iterable[BackgroundPlan]
) -> Iterator[Problem]:
    """Reports pods whose processes do not fit into the memory limit as soon as they have started.

    Args:
        compute: The resources of an app pod.
        core: The server in each pod.
        background: The background processes.
    """
    workers = core.workers.value
    # One process is checked with the other quantities.
    if workers > 1:
        least = workers * figures.WORKER_MEMORY_MIN_BYTES + figures.SUPERVISOR_MEMORY_BYTES
        yield from _too_little(
            compute.memory_limit_bytes,
            f"{workers} workers of {quantity.format_bytes(figures.WORKER_MEMORY_MIN_BYTES)} and "
            "their supervisor",
            least,
            "spec.resources.limits.memory",
            "use fewer workers (spec.server)",
        )
    for worker in background:
        processes = worker.processes.value
        if processes > 1:
            least = figures.WORKER_MEMORY_MIN_BYTES + processes * figures.FORKED_MEMORY_MIN_BYTES
            yield from _too_little(
                worker.memory_limit_bytes,
                f"{processes} processes of "
                f"{quantity.format_bytes(figures.FORKED_MEMORY_MIN_BYTES)} and their parent",
                least,
                f"spec.background[{worker.name}].resources.limits.memory",
                "lower processes",
            )


def _too_little(
    limit: Decision[int], content: str, least: int, path: str, other: str
) -> Iterator[Problem]:
    if limit.value >= least:
        return
    yield Problem(
        severity=Severity.ERROR,
        stage=Stage.PLAN,
        path=limit.path or path,
        message=f"{limit.display()} does not hold {content} after their start",
        remedy=f"set at least {quantity.format_bytes(round_up(least))}, or {other}",
    )


@COMPUTE.number(
    field="resources.limits.cpu", ceiling="resources.limits.cpu", amount="cpu", headline=True
)
def _cpu_limit_millicores(*, workers: int) -> Because[int]:
    """No limit.

    W event loops cannot use more than W cores. A limit below that throttles every request, and a
    limit below one core throttles even a single worker (measured).
    """
    loops = "{workers} event loops" if workers > 1 else "one event loop"
    cores = "{workers} cores" if workers > 1 else "one core"
    return Because(
        0, f"none: {loops} cannot use more than {cores}, and a quota below that stalls all requests"
    )


@COMPUTE.number(
    field="resources.requests.cpu",
    ceiling="resources.limits.cpu",
    amount="cpu",
    headline=True,
    tunable=True,
)
def _cpu_request_millicores(
    *, workers: int, worker_millicores: int, cpu_limit_millicores: int
) -> Because[int]:
    """500m · W, at most the limit.

    The autoscaler measures the use of CPU against it (judgement). If a week was measured, less: the
    busiest step then fills `scaling.target_cpu_percent` of it, and it is at least 100m · W.
    """
    wanted = workers * worker_millicores
    if 0 < cpu_limit_millicores < wanted:
        return Because(cpu_limit_millicores, "all of the limit of {cpu_limit_millicores}")
    if worker_millicores != figures.CPU_REQUEST_MILLICORES_PER_WORKER:
        return Because(
            wanted,
            "{worker_millicores} a worker, workers: {workers}: the busiest step of the measurement "
            "fills the autoscaler's target",
        )
    return Because(wanted, "half a core a worker, workers: {workers}")


@COMPUTE.number(
    field="resources.limits.memory",
    ceiling="resources.limits.memory",
    amount="memory",
    headline=True,
    tunable=True,
)
def _memory_limit_bytes(
    *,
    workers: int,
    worker_memory_bytes: int,
    supervised: bool,
    concurrency: int,
    request_bytes: int | None,
) -> Because[int]:
    """(1.2 · W · 160 MiB + supervisor) / 0.8 + 2 · concurrency · W · 64 KiB, in steps of 32 MiB.

    An empty app with SQLAlchemy, asyncpg and redis holds about 80 MB (measured); doubled for a warm
    heap (judgement). A supervisor takes 40 MiB: uvicorn starts one for several workers, gunicorn
    and granian always do. The last term is the bodies of requests.
    """
    supervisor = figures.SUPERVISOR_MEMORY_BYTES if supervised else 0
    bodies = 2 * concurrency * workers * figures.REQUEST_BODY_BYTES
    grown = figures.WORKER_MEMORY_MARGIN * workers * worker_memory_bytes
    limit = round_up((supervisor + grown) / figures.MEMORY_FILL + bodies)
    if request_bytes is not None and request_bytes > limit:
        return Because(request_bytes, "the memory request is {request_bytes}")
    return Because(
        limit,
        "{worker_memory_bytes} a worker (workers: {workers}) and a fifth for growth fill four "
        "fifths; plus the bodies of {concurrency} requests a worker, rounded up to 32Mi",
    )


@COMPUTE.number(field="resources.requests.memory", amount="memory")
def _memory_request_bytes(*, memory_limit_bytes: int) -> Because[int]:
    """The limit.

    Memory cannot be taken back from a running process.
    """
    return memory_equal_to_limit(memory_limit_bytes)


@COMPUTE.number(unit="threads", effect=effects.APP_ROLLOUT)
def _native_threads(*, cpu_limit_millicores: int, cpu_request_millicores: int) -> Because[int]:
    """max(1, ⌊CPU limit, or else CPU request⌋).

    By themselves BLAS and OpenMP start a thread for each core of the node.
    """
    return native_threads(cpu_limit_millicores, cpu_request_millicores)


def round_up(size: float) -> int:
    """Rounds memory up to a multiple of 32 MiB."""
    step = figures.MEMORY_ROUNDING_BYTES
    return -(-int(size) // step) * step


def memory_equal_to_limit(limit_bytes: int) -> Because[int]:
    """Returns the memory request of a pod with this limit."""
    return Because(limit_bytes, "equal to the limit: a busy node cannot take memory back")


def native_threads(cpu_limit: int, cpu_request: int) -> Because[int]:
    """Returns the size of the thread pools that native libraries start in a process."""
    basis = "cpu_limit_millicores" if cpu_limit else "cpu_request_millicores"
    return Because(
        max(1, (cpu_limit or cpu_request) // 1000),
        f"native thread pools (BLAS, OpenMP) follow the pod's {{{basis}}}; by default they start "
        "one thread for each core of the node",
    )
