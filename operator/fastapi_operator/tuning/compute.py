"""CPU and memory of each app pod."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi_operator import quantity
from fastapi_operator.api.compute import ResourceAmounts, Resources
from fastapi_operator.api.server import Server
from fastapi_operator.api.service import Spec
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, Override, Source, decide, overridden
from fastapi_operator.tuning.plan import ComputePlan, ServerPlan

_CPU_LIMITS = "cpuLimits of the profile: a core a worker, or the request where that is more"


@dataclass(frozen=True)
class Amounts:
    """What a Resources section says, in numbers; None where it is silent."""

    cpu_request: int | None = None
    cpu_limit: int | None = None
    memory_request: int | None = None
    memory_limit: int | None = None


@dataclass(frozen=True)
class ComputeBasis:
    """What decides the number of workers: never the node's cores.

    Attributes:
        cpu_millicores: The CPU limit, else the request.
        cpu_basis: Which of the two it is, in words.
        memory_bytes: The memory limit, else the request; None where neither is set.
    """

    cpu_millicores: int
    cpu_basis: str
    memory_bytes: int | None


def amounts(resources: Resources | None) -> Amounts:
    """The numbers of a ``resources`` section, of the app or of the database."""
    requests = (resources and resources.requests) or ResourceAmounts()
    limits = (resources and resources.limits) or ResourceAmounts()
    return Amounts(
        cpu_request=_optional(quantity.millicores, requests.cpu),
        cpu_limit=_optional(quantity.millicores, limits.cpu),
        memory_request=_optional(quantity.size_bytes, requests.memory),
        memory_limit=_optional(quantity.size_bytes, limits.memory),
    )


def compute_basis(spec: Spec) -> ComputeBasis:
    """The CPU and memory that a pod is given, before anything was derived from them."""
    given = amounts(spec.resources)
    memory = given.memory_limit or given.memory_request
    if given.cpu_limit is not None:
        return ComputeBasis(given.cpu_limit, "CPU limit", memory)
    if given.cpu_request is not None:
        return ComputeBasis(given.cpu_request, "CPU request", memory)
    return ComputeBasis(figures.CPU_REQUEST_MILLICORES_PER_WORKER, "CPU request (derived)", memory)


def compute_plan(spec: Spec, server: ServerPlan, *, cpu_limits: bool = False) -> ComputePlan:
    """The resources of each app pod.

    Args:
        spec: What the service says.
        server: The numbers of its server.
        cpu_limits: Its profile asks for a CPU limit where the service sets none.
    """
    given = amounts(spec.resources)
    cores = server.workers.value * figures.CPU_LIMIT_MILLICORES_PER_WORKER
    asked = Override(max(cores, given.cpu_request or 0), _CPU_LIMITS, Source.PROFILE)
    cpu_limit = decide(
        "compute.cpu_limit_millicores",
        _no_cpu_limit,
        unit="",
        effect=effects.OBJECT_ROLLOUT,
        override=overridden(given.cpu_limit, "spec.resources.limits.cpu")
        or (asked if cpu_limits else None),
        workers=server.workers,
    )
    cpu_request = decide(
        "compute.cpu_request_millicores",
        _cpu_request,
        unit="",
        effect=effects.OBJECT_ROLLOUT,
        override=overridden(given.cpu_request, "spec.resources.requests.cpu"),
        workers=server.workers,
        limit_millicores=cpu_limit,
    )
    memory_limit = decide(
        "compute.memory_limit_bytes",
        _memory_limit,
        unit="",
        effect=effects.OBJECT_ROLLOUT,
        override=overridden(given.memory_limit, "spec.resources.limits.memory"),
        workers=server.workers,
        worker_memory_bytes=figures.WORKER_MEMORY_BYTES,
        supervised=server.workers.value > 1
        or (spec.server or Server()).effective_engine != "Uvicorn",
        concurrency=server.concurrency,
        request_bytes=given.memory_request,
    )
    return ComputePlan(
        cpu_request_millicores=cpu_request,
        cpu_limit_millicores=cpu_limit,
        memory_request_bytes=decide(
            "compute.memory_request_bytes",
            memory_equal_to_limit,
            unit="",
            effect=effects.OBJECT_ROLLOUT,
            override=overridden(given.memory_request, "spec.resources.requests.memory"),
            limit_bytes=memory_limit,
        ),
        memory_limit_bytes=memory_limit,
        native_threads=decide(
            "compute.native_threads",
            native_threads,
            unit="threads",
            effect=effects.APP_ROLLOUT,
            cpu_millicores=cpu_limit.value or cpu_request.value,
        ),
    )


def _no_cpu_limit(*, workers: int) -> Because[int]:
    return Because(
        0,
        "none: {workers} event loops cannot use more than {workers} cores, and a quota "
        "below that stalls every request in the pod"
        if workers > 1
        else "none: one event loop cannot use more than one core, and a quota below that stalls "
        "every request in the pod",
    )


def _cpu_request(*, workers: int, limit_millicores: int) -> Because[int]:
    wanted = workers * figures.CPU_REQUEST_MILLICORES_PER_WORKER
    if 0 < limit_millicores < wanted:
        return Because(limit_millicores, "all of the limit of {limit_millicores}")
    return Because(wanted, "half a core a worker, workers: {workers}")


def _memory_limit(
    *,
    workers: int,
    worker_memory_bytes: int,
    supervised: bool,
    concurrency: int,
    request_bytes: int | None,
) -> Because[int]:
    # uvicorn starts a supervisor for several workers only, gunicorn and granian always.
    supervisor = figures.SUPERVISOR_MEMORY_BYTES if supervised else 0
    bodies = 2 * concurrency * workers * figures.REQUEST_BODY_BYTES
    grown = figures.WORKER_MEMORY_MARGIN * workers * worker_memory_bytes
    need = (supervisor + grown) / figures.MEMORY_FILL + bodies
    step = figures.MEMORY_ROUNDING_BYTES
    limit = -(-int(need) // step) * step
    if request_bytes is not None and request_bytes > limit:
        return Because(request_bytes, "the memory request of {request_bytes}, which asks for more")
    return Because(
        limit,
        "{worker_memory_bytes} a worker (workers: {workers}) and a fifth for growth fill four "
        "fifths; the bodies of {concurrency} requests each come on top, rounded up to 32Mi",
    )


def memory_equal_to_limit(*, limit_bytes: int) -> Because[int]:
    """The memory request of a pod."""
    return Because(
        limit_bytes, "equal to the limit, so that a busy node cannot take memory away again"
    )


def native_threads(*, cpu_millicores: int) -> Because[int]:
    """The size of the thread pools that native libraries start in a process."""
    return Because(
        max(1, cpu_millicores // 1000),
        "native thread pools (BLAS, OpenMP) follow the pod's {cpu_millicores}; by themselves they "
        "would start one thread a core of the node",
    )


def _optional(convert: Callable[[str | int], int], text: str | int | None) -> int | None:
    return None if text is None else convert(text)
