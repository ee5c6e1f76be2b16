"""Rules on the app's own processes: event loop, threads, CPU, memory."""

import math
from collections.abc import Sequence

from fastapi_operator import quantity
from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import (
    Diagnosis,
    cores,
    milliseconds,
    more,
    more_memory,
    percent,
)
from fastapi_operator.observability.diagnoses.queues import queues_for_pool
from fastapi_operator.observability.signals import AppPod, Signals
from fastapi_operator.tuning import figures


def blocking_call(signals: Signals) -> Diagnosis | None:
    """Row 1: the event loop stands still, and the CPU is free."""
    pods = [
        pod
        for pod in signals.app
        if pod.lag_p99 > bounds.LOOP_LAG_BLOCKED_SECONDS
        and pod.cpu < bounds.WORKER_CPU_IDLE
        and not _is_throttled(pod)
        and not _is_starved(pod)
    ]
    if not pods:
        return None
    worst = max(pods, key=lambda pod: pod.late)
    return Diagnosis(
        rule="blocking-call",
        diagnosis="a call inside async def blocks the event loop: nobody is answered meanwhile",
        change=f"`kubectl fastapi profile` of pod {worst.pod} shows the call; make its endpoint "
        "def, await an async library, or use asyncio.to_thread. More CPU does not help",
        signals=_loop(worst),
        effect=sum(_behind_the_loop(pod) for pod in pods),
        pod=worst.pod,
    )


def event_loop_busy(signals: Signals) -> Diagnosis | None:
    """Row 2: the event loop has used up its core."""
    pods = [pod for pod in signals.app if _loop_is_full(pod) and not _is_throttled(pod)]
    if not pods:
        return None
    worst = max(pods, key=lambda pod: pod.late)
    used = sum(pod.cpu * pod.workers for pod in signals.app)
    return Diagnosis(
        rule="event-loop-busy",
        diagnosis="requests use all of the core that an event loop can use",
        change="more pods; then look for uvloop, httptools and the serializer in a profile. "
        "More threads do not help",
        signals=_loop(worst),
        effect=sum(_behind_the_loop(pod) for pod in pods),
        pod=worst.pod,
        field="spec.scaling.minReplicas",
        value=math.ceil(used / figures.FLEET_BUSY / signals.planned.workers),
    )


def threads_contend(signals: Signals) -> Diagnosis | None:
    """Row 7: threads compete for the interpreter."""
    pods = [
        pod
        for pod in signals.app
        if _loop_is_full(pod)
        and pod.threads is not None
        and pod.threads.used >= bounds.THREADS_MANY * pod.threads.allowed
    ]
    if not pods:
        return None
    worst = max(pods, key=lambda pod: pod.late)
    return Diagnosis(
        rule="threads-contend",
        diagnosis="many threads compute, and only one at a time holds the interpreter",
        change="fewer threads and more pods; computing belongs in a process of its own",
        signals=_loop(worst) | _threads(worst),
        effect=sum(_behind_the_loop(pod) for pod in pods),
        pod=worst.pod,
        field="spec.server.threads",
        value=max(figures.THREADS_MIN, signals.planned.threads // 2),
    )


def too_many_workers(signals: Signals) -> Diagnosis | None:
    """Row 3: the workers share a CPU limit that is too small for so many."""
    pods, planned = _throttled_pods(signals), signals.planned
    fitting = max(1, planned.cpu_limit_millicores // 1000)
    if not pods or pods[0].workers <= fitting:
        return None
    return Diagnosis(
        rule="too-many-workers",
        diagnosis=f"{pods[0].workers:.0f} workers share a CPU limit of "
        f"{planned.cpu_limit_millicores / 1000:g}: they stop each other",
        change="no more workers than whole cores of the limit (workerPolicy: Quota)",
        signals=_loop(pods[0]) | {"throttled": percent(pods[0].throttled or 0.0)},
        effect=_stopped(pods),
        pod=pods[0].pod,
        field="spec.server.workers",
        value=fitting,
    )


def cpu_limit_too_low(signals: Signals) -> Diagnosis | None:
    """Row 4: the CPU limit stops workers that fit into it."""
    pods, planned = _throttled_pods(signals), signals.planned
    if not pods or pods[0].workers > max(1, planned.cpu_limit_millicores // 1000):
        return None
    return Diagnosis(
        rule="cpu-limit-too-low",
        diagnosis="the CPU limit stops the workers in the middle of their work",
        change="raise the limit, or remove it; look for native threads that multiply",
        signals=_loop(pods[0]) | {"throttled": percent(pods[0].throttled or 0.0)},
        effect=_stopped(pods),
        pod=pods[0].pod,
        field="spec.resources.limits.cpu",
        value=quantity.format_cpu(math.ceil(pods[0].workers * 1200)),
    )


def cpu_starved(signals: Signals) -> Diagnosis | None:
    """Row 33: the workers wait for a CPU that others have."""
    pods = [
        pod
        for pod in signals.app
        if pod.lag_p99 > bounds.LOOP_LAG_BUSY_SECONDS
        and _is_starved(pod)
        and not _is_throttled(pod)
    ]
    if not pods:
        return None
    worst = max(pods, key=lambda pod: pod.cpu_wait or 0.0)
    return Diagnosis(
        rule="cpu-starved",
        diagnosis="the workers could run and got no CPU: others on the node, or a CPU limit, "
        "have it",
        change="raise the CPU request, so that the scheduler keeps it free; spread the pods",
        signals=_loop(worst) | {"time without a CPU": percent(worst.cpu_wait or 0.0)},
        effect=sum(_behind_the_loop(pod) for pod in pods),
        pod=worst.pod,
        field="spec.resources.requests.cpu",
        value=quantity.format_cpu(more(signals.planned.cpu_request_millicores)),
    )


def threads_exhausted(signals: Signals) -> Diagnosis | None:
    """Row 5: calls wait for a thread."""
    pods = [
        pod
        for pod in signals.app
        if pod.threads is not None
        and pod.threads.waiting > bounds.THREADS_WAITING
        and pod.threads.used >= bounds.THREADS_USED * pod.threads.allowed
        and pod.cpu < bounds.THREADS_CPU_MAX
        # Threads that wait for a connection are the pool's matter: more of them wait longer.
        and not (pod.pool and queues_for_pool(pod.pool))
    ]
    if not pods:
        return None
    worst = max(pods, key=lambda pod: pod.threads.waiting if pod.threads else 0.0)
    return Diagnosis(
        rule="threads-exhausted",
        diagnosis="all threads for def endpoints and blocking calls are taken; the next call waits",
        change="more threads, or an async library in place of the blocking one",
        signals=_threads(worst) | {"CPU of a worker": cores(worst.cpu)},
        effect=sum(pod.threads.waiting for pod in pods if pod.threads),
        pod=worst.pod,
        field="spec.server.threads",
        value=min(figures.THREADS_MAX, more(signals.planned.threads)),
    )


def memory_limit_too_low(signals: Signals) -> Diagnosis | None:
    """Row 18: containers are ended at their memory limit."""
    if not signals.memory_kills:
        return None
    planned, worst = signals.planned, max(signals.memory_kills, key=lambda kill: kill.restarts)
    return Diagnosis(
        rule="memory-limit-too-low",
        diagnosis="the kernel ended a container of the app at its memory limit (OOMKilled), with "
        "all requests that were under way",
        change="raise the limit by a quarter, or run one worker less; memory that grows without "
        "end is a leak, which no limit mends",
        signals={
            "pods": ", ".join(sorted(kill.pod for kill in signals.memory_kills)),
            "restarts": str(worst.restarts),
            "memory limit": quantity.format_bytes(planned.memory_limit_bytes),
        },
        effect=len(signals.memory_kills)
        * figures.PROXY_READ_TIMEOUT_SECONDS
        / max(signals.seconds, 1.0),
        pod=worst.pod,
        field="spec.resources.limits.memory",
        value=more_memory(planned.memory_limit_bytes),
    )


def pods_uneven(signals: Signals) -> Diagnosis | None:
    """Row 32: few pods do the work of all."""
    used = {pod.pod: pod.cpu * pod.workers for pod in signals.app}
    total = sum(used.values())
    if len(used) < 2 or total < bounds.UNEVEN_CORES:
        return None
    busiest = max(used, key=lambda pod: used[pod])
    mean = total / len(used)
    asked = {pod.pod: pod.requests.count for pod in signals.app}
    uneven = asked[busiest] > bounds.UNEVEN_FACTOR * sum(asked.values()) / len(asked)
    if used[busiest] <= bounds.UNEVEN_FACTOR * mean or not uneven:
        return None
    return Diagnosis(
        rule="pods-uneven",
        diagnosis="long-lived connections pin clients to few pods",
        change="let the proxy end connections after some requests, and choose the least busy pod",
        signals={
            "CPU of the busiest pod": cores(used[busiest]),
            "mean of all pods": cores(mean),
        },
        effect=max(0.0, used[busiest] - mean),
        pod=busiest,
    )


def _throttled_pods(signals: Signals) -> list[AppPod]:
    """Those that are throttled, the worst first."""
    pods = [pod for pod in signals.app if _is_throttled(pod)]
    return sorted(pods, key=lambda pod: -(pod.throttled or 0.0))


def _stopped(pods: Sequence[AppPod]) -> float:
    return sum((pod.throttled or 0.0) * (pod.in_flight + 1) for pod in pods)


def _is_throttled(pod: AppPod) -> bool:
    return (pod.throttled or 0.0) > bounds.THROTTLED_SOME


def _is_starved(pod: AppPod) -> bool:
    return pod.cpu_wait is not None and pod.cpu_wait > bounds.STARVED_SHARE * pod.late


def _loop_is_full(pod: AppPod) -> bool:
    return pod.lag_p99 > bounds.LOOP_LAG_BUSY_SECONDS and pod.cpu > bounds.WORKER_CPU_BUSY


def _behind_the_loop(pod: AppPod) -> float:
    """Requests that wait while the loop is late; those not yet accepted are not counted."""
    return min(1.0, pod.late) * (pod.in_flight + 1)


def _loop(pod: AppPod) -> dict[str, str]:
    return {
        "event loop lag, p99": milliseconds(pod.lag_p99),
        "event loop late": percent(min(1.0, pod.late)),
        "CPU of a worker": cores(pod.cpu),
    }


def _threads(pod: AppPod) -> dict[str, str]:
    if pod.threads is None:
        return {}
    return {
        "threads": f"{pod.threads.used:.0f} of {pod.threads.allowed:.0f}",
        "calls waiting for a thread": f"{pod.threads.waiting:.1f}",
    }
