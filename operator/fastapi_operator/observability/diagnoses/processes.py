"""Rules on the app's own processes: event loop, threads, CPU and memory."""

import math
from collections.abc import Sequence

from fastapi_operator import quantity
from fastapi_operator.observability import bounds
from fastapi_operator.observability.diagnoses.diagnosis import Diagnosis, raised, raised_memory
from fastapi_operator.observability.diagnoses.queues import queues_for_pool
from fastapi_operator.observability.signals import AppPod, Signals
from fastapi_operator.observability.units import cores, milliseconds, percent
from fastapi_operator.tuning import figures


def blocking_call(signals: Signals) -> Diagnosis | None:
    """The event loop is blocked, and the CPU is idle."""
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
        diagnosis="a call inside async def blocks the event loop: meanwhile the worker serves no "
        "other request",
        change=f"run `kubectl fastapi profile` on pod {worst.pod} to find the call; declare its "
        "endpoint as def, await an async library, or use asyncio.to_thread. More CPU does not help",
        signals=_loop_signals(worst),
        effect=sum(_delayed_requests(pod) for pod in pods),
        pod=worst.pod,
    )


def event_loop_busy(signals: Signals) -> Diagnosis | None:
    """The event loop uses all of its core."""
    pods = [pod for pod in signals.app if _loop_is_full(pod) and not _is_throttled(pod)]
    if not pods:
        return None
    worst = max(pods, key=lambda pod: pod.late)
    used = sum(pod.cpu * pod.workers for pod in signals.app)
    return Diagnosis(
        rule="event-loop-busy",
        diagnosis="an event loop can use one core, and the requests use all of it",
        change="add pods; then check for uvloop and httptools, and look for slow serialization in "
        "a profile. More threads do not help",
        signals=_loop_signals(worst),
        effect=sum(_delayed_requests(pod) for pod in pods),
        pod=worst.pod,
        field="spec.scaling.minReplicas",
        value=math.ceil(used / figures.FLEET_BUSY / signals.planned.workers),
    )


def threads_contend(signals: Signals) -> Diagnosis | None:
    """Threads compete for the interpreter lock."""
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
        diagnosis="many threads compute, but only one at a time holds the interpreter lock",
        change="use fewer threads and more pods; move computation to a separate process",
        signals=_loop_signals(worst) | _thread_signals(worst),
        effect=sum(_delayed_requests(pod) for pod in pods),
        pod=worst.pod,
        field="spec.server.threads",
        value=max(figures.THREADS_MIN, signals.planned.threads // 2),
    )


def too_many_workers(signals: Signals) -> Diagnosis | None:
    """The workers share a CPU limit that is too small for their number."""
    pods, planned = _throttled_pods(signals), signals.planned
    fitting = max(1, planned.cpu_limit_millicores // 1000)
    if not pods or pods[0].workers <= fitting:
        return None
    return Diagnosis(
        rule="too-many-workers",
        diagnosis=f"{pods[0].workers:.0f} workers share a CPU limit of "
        f"{planned.cpu_limit_millicores / 1000:g}, so that they throttle each other",
        change="run at most one worker per whole core of the limit (workerPolicy: Quota)",
        signals=_loop_signals(pods[0]) | {"throttled": percent(pods[0].throttled or 0.0)},
        effect=_throttled_requests(pods),
        pod=pods[0].pod,
        field="spec.server.workers",
        value=fitting,
    )


def cpu_limit_too_low(signals: Signals) -> Diagnosis | None:
    """The CPU limit throttles workers although their number fits."""
    pods, planned = _throttled_pods(signals), signals.planned
    if not pods or pods[0].workers > max(1, planned.cpu_limit_millicores // 1000):
        return None
    return Diagnosis(
        rule="cpu-limit-too-low",
        diagnosis="the CPU limit throttles the workers",
        change="raise or remove the limit; check whether native libraries start many threads",
        signals=_loop_signals(pods[0]) | {"throttled": percent(pods[0].throttled or 0.0)},
        effect=_throttled_requests(pods),
        pod=pods[0].pod,
        field="spec.resources.limits.cpu",
        value=quantity.format_cpu(math.ceil(pods[0].workers * 1200)),
    )


def cpu_starved(signals: Signals) -> Diagnosis | None:
    """The workers wait for a CPU that other pods use."""
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
        diagnosis="the workers are runnable but wait for a CPU: other pods on the node, or a CPU "
        "limit, prevent them from running",
        change="raise the CPU request, so that the scheduler reserves it; spread the pods",
        signals=_loop_signals(worst) | {"time waiting for a CPU": percent(worst.cpu_wait or 0.0)},
        effect=sum(_delayed_requests(pod) for pod in pods),
        pod=worst.pod,
        field="spec.resources.requests.cpu",
        value=quantity.format_cpu(raised(signals.planned.cpu_request_millicores)),
    )


def threads_exhausted(signals: Signals) -> Diagnosis | None:
    """Calls wait for a thread."""
    pods = [
        pod
        for pod in signals.app
        if pod.threads is not None
        and pod.threads.waiting > bounds.THREADS_WAITING
        and pod.threads.used >= bounds.THREADS_USED * pod.threads.allowed
        and pod.cpu < bounds.THREADS_CPU_MAX
        # If threads wait for a connection, the pool is the cause: more threads would wait longer.
        and not (pod.pool and queues_for_pool(pod.pool))
    ]
    if not pods:
        return None
    worst = max(pods, key=lambda pod: pod.threads.waiting if pod.threads else 0.0)
    return Diagnosis(
        rule="threads-exhausted",
        diagnosis="all threads for def endpoints and blocking calls are busy; further calls wait",
        change="add threads, or replace the blocking library by an async one",
        signals=_thread_signals(worst) | {"CPU of a worker": cores(worst.cpu)},
        effect=sum(pod.threads.waiting for pod in pods if pod.threads),
        pod=worst.pod,
        field="spec.server.threads",
        value=min(figures.THREADS_MAX, raised(signals.planned.threads)),
    )


def memory_limit_too_low(signals: Signals) -> Diagnosis | None:
    """Containers of the app are OOM-killed."""
    if not signals.memory_kills:
        return None
    planned, worst = signals.planned, max(signals.memory_kills, key=lambda kill: kill.restarts)
    return Diagnosis(
        rule="memory-limit-too-low",
        diagnosis="a container of the app reached its memory limit and was OOM-killed; its "
        "requests in flight failed",
        change="raise the limit by a quarter, or run one worker fewer; if memory grows without "
        "bound, find the leak, because a higher limit only delays the next kill",
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
        value=raised_memory(planned.memory_limit_bytes),
    )


def pods_uneven(signals: Signals) -> Diagnosis | None:
    """One pod does much more work than the mean."""
    used = {pod.pod: pod.cpu * pod.workers for pod in signals.app}
    total = sum(used.values())
    if len(used) < 2 or total < bounds.UNEVEN_CORES:
        return None
    busiest = max(used, key=lambda pod: used[pod])
    mean = total / len(used)
    served = {pod.pod: pod.requests.count for pod in signals.app}
    uneven = served[busiest] > bounds.UNEVEN_FACTOR * sum(served.values()) / len(served)
    if used[busiest] <= bounds.UNEVEN_FACTOR * mean or not uneven:
        return None
    return Diagnosis(
        rule="pods-uneven",
        diagnosis="long-lived connections pin clients to few pods",
        change="close connections at the proxy after some requests, and balance by the least busy "
        "pod",
        signals={
            "CPU of the busiest pod": cores(used[busiest]),
            "mean of all pods": cores(mean),
        },
        effect=max(0.0, used[busiest] - mean),
        pod=busiest,
    )


def _throttled_pods(signals: Signals) -> list[AppPod]:
    """The throttled pods, the most throttled first."""
    pods = [pod for pod in signals.app if _is_throttled(pod)]
    return sorted(pods, key=lambda pod: -(pod.throttled or 0.0))


def _throttled_requests(pods: Sequence[AppPod]) -> float:
    return sum((pod.throttled or 0.0) * (pod.in_flight + 1) for pod in pods)


def _is_throttled(pod: AppPod) -> bool:
    return (pod.throttled or 0.0) > bounds.THROTTLED_SOME


def _is_starved(pod: AppPod) -> bool:
    return pod.cpu_wait is not None and pod.cpu_wait > bounds.STARVED_SHARE * pod.late


def _loop_is_full(pod: AppPod) -> bool:
    return pod.lag_p99 > bounds.LOOP_LAG_BUSY_SECONDS and pod.cpu > bounds.WORKER_CPU_BUSY


def _delayed_requests(pod: AppPod) -> float:
    """Requests that wait while the event loop is late, without those not yet accepted."""
    return min(1.0, pod.late) * (pod.in_flight + 1)


def _loop_signals(pod: AppPod) -> dict[str, str]:
    return {
        "event loop lag, p99": milliseconds(pod.lag_p99),
        "event loop late": percent(min(1.0, pod.late)),
        "CPU of a worker": cores(pod.cpu),
    }


def _thread_signals(pod: AppPod) -> dict[str, str]:
    if pod.threads is None:
        return {}
    return {
        "threads": f"{pod.threads.used:.0f} of {pod.threads.allowed:.0f}",
        "calls waiting for a thread": f"{pod.threads.waiting:.1f}",
    }
