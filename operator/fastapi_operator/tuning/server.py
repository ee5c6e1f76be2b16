"""How many processes and threads serve requests in a pod, and how they start and stop."""

import dataclasses
import math
from collections.abc import Iterator
from typing import TypeGuard

from fastapi_operator.api.compute import Traffic
from fastapi_operator.api.server import Server
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.compute import ComputeBasis
from fastapi_operator.tuning.decision import Because, Decision, decide, fixed, overridden
from fastapi_operator.tuning.plan import PoolPlan, ProxyPlan, ServerPlan


def server_plan(spec: Spec, basis: ComputeBasis) -> ServerPlan:
    """The numbers of the ASGI server."""
    server = spec.server or Server()
    traffic = spec.traffic or Traffic()
    cpu_milliseconds = traffic.cpu_milliseconds_per_request
    workers = _workers_decision(spec, basis)
    concurrency = decide(
        "server.concurrency",
        _concurrency,
        unit="requests",
        effect=effects.APP_ROLLOUT,
        cpu_milliseconds=cpu_milliseconds,
        p95_milliseconds=traffic.p95_milliseconds,
    )
    pre_stop = decide(
        "server.pre_stop_seconds",
        _pre_stop_seconds,
        unit="seconds",
        effect=effects.OBJECT_ROLLOUT,
    )
    graceful = decide(
        "server.graceful_seconds",
        _graceful_seconds,
        unit="seconds",
        effect=effects.SERVER_ROLLOUT,
        override=overridden(server.graceful_seconds, "spec.server.gracefulSeconds"),
        p95_milliseconds=traffic.p95_milliseconds or figures.P95_MILLISECONDS,
    )
    return ServerPlan(
        workers=workers,
        threads=_threads_decision(spec),
        concurrency=concurrency,
        max_in_flight=decide(
            "server.max_in_flight",
            _max_in_flight,
            unit="requests",
            effect=effects.APP_ROLLOUT,
            concurrency=concurrency,
        ),
        keep_alive_seconds=decide(
            "server.keep_alive_seconds",
            _keep_alive_seconds,
            unit="seconds",
            effect=effects.SERVER_ROLLOUT,
            override=overridden(server.keep_alive_seconds, "spec.server.keepAliveSeconds"),
            idle_seconds=_idle_seconds(spec),
            server=server.effective_engine,
        ),
        graceful_seconds=graceful,
        worker_healthcheck_seconds=_healthcheck_decision(server, workers),
        pre_stop_seconds=pre_stop,
        grace_seconds=decide(
            "server.grace_seconds",
            _grace_seconds,
            unit="seconds",
            effect=effects.OBJECT_ROLLOUT,
            pre_stop_seconds=pre_stop,
            graceful_seconds=graceful,
        ),
    )


def with_pool(spec: Spec, server: ServerPlan, pool: PoolPlan | None) -> ServerPlan:
    """The plan with no more threads than connections, where each busy thread holds one."""
    if not _is_held_by_threads(pool, spec):
        return server
    threads = _threads_decision(spec, connections=pool.size)
    return dataclasses.replace(server, threads=threads)


def thread_problems(spec: Spec, server: ServerPlan, pool: PoolPlan | None) -> Iterator[Problem]:
    """Threads that would wait for each other's connections."""
    if _is_held_by_threads(pool, spec) and server.threads.value > pool.size.value:
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.server.threads",
            message=f"{server.threads.value} threads share {pool.size.value} connections: those "
            "that wait for one are lost to every other request",
            remedy=f"set at most {pool.size.value}, or remove it",
        )


def _is_held_by_threads(pool: PoolPlan | None, spec: Spec) -> TypeGuard[PoolPlan]:
    return pool is not None and spec.postgres is not None and spec.postgres.driver == "Blocking"


def with_connections(spec: Spec, server: ServerPlan, proxy: ProxyPlan | None) -> ServerPlan:
    """The plan with what only granian bounds: connections, of which the proxy keeps idle ones."""
    if (spec.server or Server()).effective_engine != "Granian":
        return server
    idle = 0
    if proxy is not None:
        # Caddy is one process.
        processes = proxy.worker_processes.value if proxy.worker_processes else 1
        idle = proxy.replicas.value * processes * proxy.upstream_keep_alive.value
    connections = decide(
        "server.max_connections",
        _max_connections,
        unit="connections",
        idle=idle,
        max_in_flight=server.max_in_flight,
        effect=effects.SERVER_ROLLOUT,
    )
    return dataclasses.replace(server, max_connections=connections)


def _healthcheck_decision(server: Server, workers: Decision[int]) -> Decision[int] | None:
    """How long a worker may be silent; granian does not ask, a single uvicorn has nobody to."""
    supervised = server.effective_engine == "Gunicorn" or (
        server.effective_engine == "Uvicorn" and workers.value > 1
    )
    if not supervised:
        return None
    return fixed(
        "server.worker_healthcheck_seconds",
        figures.WORKER_HEALTHCHECK_SECONDS,
        "the supervisor kills a worker that is silent for so long; at uvicorn's default of 5 a pod "
        "that is short of CPU kills its own workers for ever",
        unit="seconds",
        effect=effects.SERVER_ROLLOUT,
    )


def _threads_decision(spec: Spec, **bounds: Decision[int]) -> Decision[int]:
    traffic = spec.traffic or Traffic()
    return decide(
        "server.threads",
        _threads,
        unit="threads",
        effect=effects.APP_ROLLOUT,
        override=overridden((spec.server or Server()).threads, "spec.server.threads"),
        blocking_milliseconds=traffic.blocking_milliseconds_per_request,
        cpu_milliseconds=traffic.cpu_milliseconds_per_request
        or figures.CPU_MILLISECONDS_PER_REQUEST,
        **bounds,
    )


def _workers_decision(spec: Spec, basis: ComputeBasis) -> Decision[int]:
    server = spec.server or Server()
    policy = server.worker_policy or "Quota"
    if policy == "TwoNPlusOne":
        return decide(
            "server.workers",
            _two_n_plus_one,
            unit="processes",
            cpu_millicores=basis.cpu_millicores,
            effect=effects.SERVER_ROLLOUT,
        )
    return decide(
        "server.workers",
        _quota_workers,
        unit="processes",
        override=overridden(server.workers, "spec.server.workers"),
        cpu_millicores=basis.cpu_millicores,
        cpu_basis=basis.cpu_basis,
        memory_bytes=basis.memory_bytes,
        worker_memory_bytes=figures.WORKER_MEMORY_BYTES,
        effect=effects.SERVER_ROLLOUT,
    )


def _quota_workers(
    *,
    cpu_millicores: int,
    cpu_basis: str,  # noqa: ARG001 (the reason names it)
    memory_bytes: int | None,
    worker_memory_bytes: int,
) -> Because[int]:
    by_cpu = max(1, cpu_millicores // 1000)
    by_memory = figures.WORKERS_MAX
    if memory_bytes is not None:
        # One worker needs no supervisor; more share what is left after it.
        usable = figures.MEMORY_FILL * memory_bytes - figures.SUPERVISOR_MEMORY_BYTES
        by_memory = max(1, int(usable / (figures.WORKER_MEMORY_MARGIN * worker_memory_bytes)))
    workers = min(by_cpu, by_memory, figures.WORKERS_MAX)
    if workers < by_cpu and workers == figures.WORKERS_MAX:
        return Because(
            workers,
            f"{workers} at most share the fate of one pod; more pods use the rest of the "
            "{cpu_basis} of {cpu_millicores}",
        )
    if workers < by_cpu:
        return Because(
            workers,
            "{memory_bytes} of memory holds no more workers of {worker_memory_bytes}, though the "
            "{cpu_basis} of {cpu_millicores} would drive " + str(by_cpu),
        )
    if workers == 1:
        return Because(
            1,
            "one event loop uses at most one core and the {cpu_basis} is {cpu_millicores}; "
            "more pods scale better than more workers",
        )
    return Because(
        workers,
        "one event loop for each whole core of the {cpu_basis}, {cpu_millicores}; "
        "the node's cores do not count",
    )


def _two_n_plus_one(*, cpu_millicores: int) -> Because[int]:
    workers = 2 * max(1, cpu_millicores // 1000) + 1
    return Because(
        workers,
        "2n+1 as spec.server.workerPolicy asks, n being the whole cores of {cpu_millicores}; the "
        "formula is for workers that block, asyncio workers gain nothing from it",
    )


def _concurrency(*, cpu_milliseconds: int | None, p95_milliseconds: int | None) -> Because[int]:
    if cpu_milliseconds is None and p95_milliseconds is None:
        return Because(
            figures.CONCURRENCY_UNKNOWN,
            "spec.traffic does not say what a request costs, so a middle value",
        )
    cpu = cpu_milliseconds or figures.CPU_MILLISECONDS_PER_REQUEST
    p95 = p95_milliseconds or figures.P95_MILLISECONDS
    in_flight = math.ceil(figures.LOOP_BUSY / cpu * p95)
    return Because(
        min(max(in_flight, figures.CONCURRENCY_MIN), figures.CONCURRENCY_MAX),
        f"Little's law: {figures.LOOP_BUSY:.0%} of a core over {cpu} ms of CPU a request, times "
        f"{p95} ms; between {figures.CONCURRENCY_MIN} and {figures.CONCURRENCY_MAX}",
    )


def _max_in_flight(*, concurrency: int) -> Because[int]:
    return Because(
        figures.SHED_FACTOR * concurrency,
        "a process sheds load (503) at twice the {concurrency} requests that its event loop "
        "sustains, before a queue makes every answer late",
    )


def _threads(
    *, blocking_milliseconds: int | None, cpu_milliseconds: int, connections: int | None = None
) -> Because[int]:
    wanted = _threads_wanted(blocking_milliseconds, cpu_milliseconds)
    if connections is None or wanted.value <= connections:
        return wanted
    return Because(
        connections,
        "spec.postgres.driver is Blocking: each busy thread holds one of the {connections} of the "
        f"pool, more would only wait for them ({wanted.value} otherwise)",
    )


def _threads_wanted(blocking_milliseconds: int | None, cpu_milliseconds: int) -> Because[int]:
    if blocking_milliseconds is None:
        return Because(
            figures.THREADS_DEFAULT,
            "AnyIO's default; spec.traffic.blockingMillisecondsPerRequest would size it",
        )
    rate = figures.FLEET_BUSY * 1000 / cpu_milliseconds
    wanted = math.ceil(rate * blocking_milliseconds / 1000 * figures.THREADS_MARGIN)
    return Because(
        min(max(wanted, figures.THREADS_MIN), figures.THREADS_MAX),
        f"{rate:.0f} requests a second on a worker, each blocking a thread for "
        "{blocking_milliseconds} ms, and a quarter more; between "
        f"{figures.THREADS_MIN} and {figures.THREADS_MAX}",
    )


def _idle_seconds(spec: Spec) -> int:
    """After how long whoever is before the app closes an idle connection."""
    if spec.proxy is None or spec.proxy.engine != "None":
        return figures.PROXY_UPSTREAM_KEEP_ALIVE_SECONDS
    edge = spec.exposure.idle_timeout_seconds if spec.exposure else None
    return edge or figures.EDGE_IDLE_TIMEOUT_SECONDS


def _keep_alive_seconds(*, idle_seconds: int, server: str) -> Because[int]:
    longest = figures.GRANIAN_KEEP_ALIVE_MAX_SECONDS
    if server == "Granian" and idle_seconds + figures.KEEP_ALIVE_MARGIN_SECONDS > longest:
        return Because(
            longest,
            f"{{server}} closes an idle connection after {longest} s at the latest; the proxy "
            f"closes its own {figures.KEEP_ALIVE_MARGIN_SECONDS} s sooner",
        )
    return Because(
        idle_seconds + figures.KEEP_ALIVE_MARGIN_SECONDS,
        "longer than the {idle_seconds} s after which the proxy before it closes an idle "
        "connection; the other way round a request meets a closing socket and becomes a 502",
    )


def _graceful_seconds(*, p95_milliseconds: int) -> Because[int]:
    # The slowest requests take a multiple of the 95th percentile.
    wanted = math.ceil(20 * p95_milliseconds / 1000)
    seconds = min(max(wanted, figures.GRACEFUL_MIN_SECONDS), figures.GRACEFUL_MAX_SECONDS)
    return Because(
        seconds,
        "requests under way may finish: twenty times the 95th percentile of {p95_milliseconds} ms, "
        f"between {figures.GRACEFUL_MIN_SECONDS} and {figures.GRACEFUL_MAX_SECONDS}",
    )


def _pre_stop_seconds() -> Because[int]:
    return Because(
        figures.PRE_STOP_SECONDS,
        "the pod leaves the load balancers before its server stops accepting",
    )


def _grace_seconds(*, pre_stop_seconds: int, graceful_seconds: int) -> Because[int]:
    return Because(
        pre_stop_seconds + graceful_seconds + figures.GRACE_MARGIN_SECONDS,
        "{pre_stop_seconds} s before the stop, {graceful_seconds} s to finish, and "
        f"{figures.GRACE_MARGIN_SECONDS} s before the kubelet kills",
    )


def _max_connections(*, idle: int, max_in_flight: int) -> Because[int]:
    return Because(
        max(figures.GRANIAN_CONNECTIONS_MIN, idle + max_in_flight),
        "granian stops accepting at so many connections, idle ones included: the {idle} that the "
        "proxy may keep open and {max_in_flight} requests, at least its own default of "
        f"{figures.GRANIAN_CONNECTIONS_MIN}",
    )
