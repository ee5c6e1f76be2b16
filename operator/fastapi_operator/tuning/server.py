"""How many processes and threads serve requests in a pod, and how they start and stop."""

import math
from collections.abc import Iterator
from typing import TypeGuard

from fastapi_operator.api.server import Server
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.amounts import amounts
from fastapi_operator.tuning.compute import ComputeBasis, worker_memory
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import PoolPlan, ServerCore, ServerPlan
from fastapi_operator.tuning.profile import ProfiledSpec
from fastapi_operator.tuning.programs import starts_server
from fastapi_operator.tuning.proxy import ProxyPlan

CORE = Group("server", effects.SERVER_ROLLOUT)
THREADS = Group("server", effects.APP_ROLLOUT)
SUPERVISOR = Group("server", effects.SERVER_ROLLOUT, case="gunicorn, and uvicorn with workers")
GRANIAN = Group("server", effects.SERVER_ROLLOUT, case="granian")


def server_core(profiled: ProfiledSpec, basis: ComputeBasis) -> ServerCore:
    """Decides the numbers of the ASGI server that depend on no other part."""
    spec = profiled.spec
    server, load = spec.server or Server(), profiled.load
    decided = CORE.decide(
        profiled,
        **basis._asdict(),
        given_limit_millicores=amounts(spec.resources).cpu_limit,
        policy=server.worker_policy or ("Quota" if _starts_workers(spec) else "One"),
        worker_memory_bytes=worker_memory(profiled),
        cpu_milliseconds=load.value("cpu_milliseconds_per_request"),
        known_p95_milliseconds=load.value("p95_milliseconds"),
        # Fewer admitted requests cost less of nothing, so a measurement lowers it no further than
        # to the value of a service whose requests are unknown.
        least_concurrency=load.only_if_measured(
            figures.CONCURRENCY_UNKNOWN,
            figures.CONCURRENCY_MIN,
            "cpu_milliseconds_per_request",
            "p95_milliseconds",
        ),
        carried=load.value("requests_in_flight_per_worker"),
        p95_milliseconds=load.value("p95_milliseconds", figures.P95_MILLISECONDS),
        idle_seconds=_idle_seconds(spec),
        server=server.effective_engine,
    )
    return ServerCore(**decided)


def server_plan(
    profiled: ProfiledSpec, core: ServerCore, pool: PoolPlan | None, proxy: ProxyPlan | None
) -> ServerPlan:
    """Completes the numbers of the ASGI server.

    Args:
        profiled: The spec and its profile.
        core: The numbers that depend on no other part.
        pool: The connection pool of each process, which bounds threads that block.
        proxy: The proxy, which keeps idle connections to each pod.
    """
    spec = profiled.spec
    server, load = spec.server or Server(), profiled.load
    more = THREADS.decide(
        profiled,
        blocking_milliseconds=load.value("blocking_milliseconds_per_request"),
        cpu_milliseconds=load.value(
            "cpu_milliseconds_per_request", figures.CPU_MILLISECONDS_PER_REQUEST
        ),
        connections=pool.size if _threads_hold_connections(pool, spec) else None,
        pooled=pool.size.value + pool.max_overflow.value if pool is not None else 0,
        max_in_flight=core.max_in_flight,
    )
    if server.effective_engine == "Gunicorn" or (
        server.effective_engine == "Uvicorn" and core.workers.value > 1
    ):
        more |= SUPERVISOR.decide(profiled)
    if server.effective_engine == "Granian":
        idle = _idle_connections(proxy) if proxy is not None else 0
        more |= GRANIAN.decide(profiled, idle=idle, max_in_flight=core.max_in_flight)
    return ServerPlan(**core._asdict(), **more)


# Drivers that hold a thread for each query, as SQLAlchemy names them.
_BLOCKING_DRIVERS = frozenset({"psycopg2", "psycopg2cffi", "pg8000"})


def thread_problems(spec: Spec, server: ServerPlan, pool: PoolPlan | None) -> Iterator[Problem]:
    """Reports threads that would wait for each other's connections."""
    if _threads_hold_connections(pool, spec) and server.threads.value > pool.size.value:
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.server.threads",
            message=f"{server.threads.value} threads share {pool.size.value} connections: a thread "
            "that waits for a connection serves no other request",
            remedy=f"set at most {pool.size.value}, or remove it",
        )


def command_problems(spec: Spec, server: ServerPlan) -> Iterator[Problem]:
    """Reports what the user's command of the app does not use: further CPUs, and an agent."""
    cores = server.workers.inputs.get("cpu_millicores", 0) // 1000
    if server.workers.value == 1 < cores and not _starts_workers(spec):
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.command",
            message=f"is not known to start several workers, so the pod has one, which uses at "
            f"most one of its {cores} CPUs",
            remedy="if it starts WEB_CONCURRENCY workers, set spec.server.workerPolicy: Quota; "
            'otherwise request cpu: "1" and more replicas. uvicorn.run(app) starts several only '
            'if app is a string, for example "main:app"',
        )
    if spec.command == () and spec.observability is not None and spec.observability.agent:
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.observability.agent",
            message="does not start in the app: command: [] runs the image's own command, before "
            "which the operator cannot put a program",
            remedy="set spec.command, or start the agent in the image's own command",
        )


def _starts_workers(spec: Spec) -> bool:
    """Whether the app's command starts as many workers as WEB_CONCURRENCY has."""
    return spec.command is None or starts_server(spec.command, spec.args)


def _threads_hold_connections(pool: PoolPlan | None, spec: Spec) -> TypeGuard[PoolPlan]:
    if pool is None or spec.postgres is None:
        return False
    if spec.postgres.driver is not None:
        return spec.postgres.driver == "Blocking"
    database = spec.connections.database if spec.connections else None
    return database is not None and database.driver in _BLOCKING_DRIVERS


def _idle_connections(proxy: ProxyPlan) -> int:
    # Caddy is one process.
    processes = proxy.worker_processes.value if proxy.worker_processes else 1
    # Those of the reserve are kept apart.
    kept = proxy.upstream_keep_alive.value * (1 if proxy.pod_reserved is None else 2)
    return proxy.replicas.value * processes * kept


def _idle_seconds(spec: Spec) -> int:
    """Returns after how long the proxy, or without one the load balancer, closes a connection."""
    if spec.proxy is None or spec.proxy.engine != "None":
        return figures.PROXY_UPSTREAM_KEEP_ALIVE_SECONDS
    edge = spec.exposure.idle_timeout_seconds if spec.exposure else None
    return edge or figures.EDGE_IDLE_TIMEOUT_SECONDS


@CORE.number(unit="processes", field="server.workers", headline=True, tunable=True)
def _workers(
    *,
    policy: str,
    cpu_millicores: int,
    cpu_basis: str,  # noqa: ARG001 (the reason names it)
    memory_bytes: int | None,
    worker_memory_bytes: int,
) -> Because[int]:
    """min(⌊CPU⌋, ⌊(0.8 · memory − 40 MiB) / (1.2 · 160 MiB)⌋, 8), at least 1.

    CPU and memory are the limits, or else the requests. One event loop uses at most one core. Under
    a quota of 1 CPU, 2 to 5 workers served no more JSON requests than one, took more memory, and
    were throttled in 86 to 98 % of the periods instead of 0 to 7 % (measured). `TwoNPlusOne` is the
    well-known 2 · CPU + 1, at most 64, on the same CPU; it is meant for workers that block. 1 for a
    `command` of your own that names no server, unless `workerPolicy` is set: `uvicorn.run(app)`
    fails with several.
    """
    by_cpu = max(1, cpu_millicores // 1000)
    if policy == "One":
        return Because(1, "spec.command is not known to start several workers")
    if policy == "TwoNPlusOne":
        return Because(
            min(2 * by_cpu + 1, figures.WORKERS_SET_MAX),
            "spec.server.workerPolicy is TwoNPlusOne: 2n+1, at most 64, for the whole cores n of "
            "{cpu_millicores}; the formula is for workers that block, asyncio workers gain nothing",
        )
    by_memory = figures.WORKERS_MAX
    if memory_bytes is not None:
        # One worker needs no supervisor. Several share the memory beside it.
        usable = figures.MEMORY_FILL * memory_bytes - figures.SUPERVISOR_MEMORY_BYTES
        by_memory = max(1, int(usable / (figures.WORKER_MEMORY_MARGIN * worker_memory_bytes)))
    workers = min(by_cpu, by_memory, figures.WORKERS_MAX)
    if workers < by_cpu and workers == figures.WORKERS_MAX:
        return Because(
            workers,
            f"at most {workers} workers share one pod; more pods use the rest of the {{cpu_basis}} "
            "of {cpu_millicores}",
        )
    if workers < by_cpu:
        return Because(
            workers,
            "{memory_bytes} of memory holds no more workers of {worker_memory_bytes}; the "
            f"{{cpu_basis}} of {{cpu_millicores}} would allow {by_cpu}",
        )
    if workers == 1:
        return Because(
            1,
            "one event loop uses at most one core and the {cpu_basis} is {cpu_millicores}; "
            "more pods scale better than more workers",
        )
    return Because(
        workers,
        "one event loop for each whole core: the {cpu_basis} is {cpu_millicores}; the node's cores "
        "do not count",
    )


@CORE.number(unit="requests", effect=effects.APP_ROLLOUT, tunable=True)
def _concurrency(
    *,
    cpu_milliseconds: float | None,
    known_p95_milliseconds: float | None,
    least_concurrency: int,
    carried: float | None,
) -> Because[int]:
    """⌈0.85 / c · T⌉, from 16 to 1000; 32 if neither is known.

    The requests that one event loop sustains at once: Little's law at 85 % of a core. If it is
    measured, at least 32, and at least as many as a worker carried without overload.
    """
    wanted = _sustained(cpu_milliseconds, known_p95_milliseconds, least_concurrency)
    if carried is None or carried <= wanted.value:
        return wanted
    return Because(
        min(math.ceil(carried), figures.CONCURRENCY_MAX),
        f"as many as a worker carried; at most {figures.CONCURRENCY_MAX} "
        f"({wanted.value} by the cost of a request)",
    )


def _sustained(
    cpu_milliseconds: float | None, known_p95_milliseconds: float | None, least: int
) -> Because[int]:
    if cpu_milliseconds is None and known_p95_milliseconds is None:
        return Because(
            figures.CONCURRENCY_UNKNOWN,
            "a middle value: spec.traffic does not show the cost of a request",
        )
    cpu = cpu_milliseconds or figures.CPU_MILLISECONDS_PER_REQUEST
    p95 = known_p95_milliseconds or figures.P95_MILLISECONDS
    in_flight = math.ceil(figures.LOOP_BUSY / cpu * p95)
    return Because(
        min(max(in_flight, least), figures.CONCURRENCY_MAX),
        f"Little's law: {figures.LOOP_BUSY:.0%} of a core over {cpu} ms of CPU a request, times "
        f"{p95} ms; between {least} and {figures.CONCURRENCY_MAX}",
    )


@CORE.number(unit="requests", effect=effects.APP_ROLLOUT, headline=True)
def _max_in_flight(
    *,
    concurrency: int,
    workers: int,
    given_limit_millicores: int | None,
    cpu_milliseconds: float | None,
    p95_milliseconds: float,
) -> Because[int]:
    """min(2 · concurrency, rate · (0.25 s + T)), at least concurrency.

    The rate is that of a process with its share of the CPU limit, at most one core. So requests
    wait about a quarter of a second for CPU, besides their own time. Above it a process responds
    with 503: a late response helps no client (judgement, after Netflix's concurrency limits). If
    neither a limit nor c is known, it is 2 · concurrency.
    """
    limit, most = given_limit_millicores, figures.SHED_FACTOR * concurrency
    cost = cpu_milliseconds or figures.CPU_MILLISECONDS_PER_REQUEST
    rate = 1000 * min(1.0, limit / 1000 / workers if limit else 1.0) / cost
    in_time = math.ceil(rate * (figures.QUEUE_SECONDS + p95_milliseconds / 1000))
    if in_time >= most or not (limit or cpu_milliseconds):
        return Because(
            most,
            "a process sheds load (503) at twice the {concurrency} requests that its event loop "
            "sustains, before a queue delays every response",
        )
    basis = (
        "the CPU limit of {given_limit_millicores}, workers: {workers}," if limit else "one core"
    )
    return Because(
        max(in_time, concurrency),
        f"{basis} is enough for {rate:.0f} requests a second in a process, at {cost} ms of CPU. So "
        f"many arrive in {1000 * figures.QUEUE_SECONDS:.0f} ms and the {{p95_milliseconds}} ms of "
        "a request; more would wait longer. At least the {concurrency} that its event loop "
        "sustains",
    )


@CORE.number(field="server.keepAliveSeconds", headline=True)
def _keep_alive_seconds(*, idle_seconds: int, server: str) -> Because[int]:
    """Idle time of the proxy + 15 = 75; without a proxy, that of the load balancer; granian 60.

    The side that closes a connection must be the one that sends requests: an app that closes first
    turns a request into a 502. granian closes an idle connection after one minute at most (measured
    with 2.8.7), and its proxy closes earlier.
    """
    longest, margin = figures.GRANIAN_KEEP_ALIVE_MAX_SECONDS, figures.KEEP_ALIVE_MARGIN_SECONDS
    if server == "Granian" and idle_seconds + margin > longest:
        return Because(
            longest,
            f"{{server}} closes an idle connection after at most {longest} s; the proxy closes its "
            f"own {margin} s earlier",
        )
    return Because(
        idle_seconds + margin,
        "longer than the {idle_seconds} s after which the proxy closes an idle connection; "
        "otherwise a request meets a closing socket and becomes a 502",
    )


@CORE.number(field="server.gracefulSeconds")
def _graceful_seconds(*, p95_milliseconds: float) -> Because[int]:
    """20 · T, from 20 to 120 s.

    The slowest requests finish; they take a multiple of the 95th percentile. uvicorn's own default
    waits without limit.
    """
    wanted = math.ceil(20 * p95_milliseconds / 1000)
    seconds = min(max(wanted, figures.GRACEFUL_MIN_SECONDS), figures.GRACEFUL_MAX_SECONDS)
    return Because(
        seconds,
        "time for requests to finish: twenty times the 95th percentile of {p95_milliseconds} ms, "
        f"between {figures.GRACEFUL_MIN_SECONDS} and {figures.GRACEFUL_MAX_SECONDS}",
    )


CORE.constant(
    "pre_stop_seconds",
    figures.PRE_STOP_SECONDS,
    "the pod leaves the load balancers before its server stops accepting",
    effect=effects.OBJECT_ROLLOUT,
    evidence="judgement",
)


@CORE.number(effect=effects.OBJECT_ROLLOUT)
def _grace_seconds(*, pre_stop_seconds: int, graceful_seconds: int) -> Because[int]:
    """pre_stop_seconds + graceful_seconds + 10.

    The kubelet kills the pod after this time.
    """
    return Because(
        pre_stop_seconds + graceful_seconds + figures.GRACE_MARGIN_SECONDS,
        "{pre_stop_seconds} s before the stop, {graceful_seconds} s to finish, and "
        f"{figures.GRACE_MARGIN_SECONDS} s before the kubelet kills the pod",
    )


@THREADS.number(unit="threads", field="server.threads", headline=True, tunable=True)
def _threads(
    *, blocking_milliseconds: float | None, cpu_milliseconds: float, connections: int | None
) -> Because[int]:
    """⌈600 / c · b / 1000 · 1.25⌉, from 8 to 100; 40 if b is unknown.

    Little's law at the rate at which a worker is 60 % busy. 40 is AnyIO's default. With
    `spec.postgres.driver: Blocking` it is at most pool.size: each busy thread holds a connection.
    """
    wanted = _wanted_threads(blocking_milliseconds, cpu_milliseconds)
    if connections is None or wanted.value <= connections:
        return wanted
    return Because(
        connections,
        "spec.postgres.driver is Blocking: each busy thread holds one of the {connections} "
        f"connections of the pool ({wanted.value} threads otherwise)",
    )


@THREADS.number(unit="requests")
def _min_in_flight(*, pooled: int, max_in_flight: int) -> Because[int]:
    """The connections of the pool, at least 64, at most max_in_flight.

    The limit of the runtime follows the waits of requests, between this number and max_in_flight.
    Fewer requests would leave a CPU or connections idle (judgement). With 16 instead of 64, a
    process rejected requests of a load that its pods carry, while others started beside it.
    """
    return Because(
        min(max(pooled, figures.IN_FLIGHT_MIN), max_in_flight),
        "while requests wait, a process admits fewer than {max_in_flight}, but enough to use its "
        f"CPU and the {{pooled}} connections of its pool; at least {figures.IN_FLIGHT_MIN}",
    )


def _wanted_threads(blocking_milliseconds: float | None, cpu_milliseconds: float) -> Because[int]:
    if blocking_milliseconds is None:
        return Because(
            figures.THREADS_DEFAULT,
            "AnyIO's default; set spec.traffic.blockingMillisecondsPerRequest to size it",
        )
    rate = figures.FLEET_BUSY * 1000 / cpu_milliseconds
    wanted = math.ceil(rate * blocking_milliseconds / 1000 * figures.THREADS_MARGIN)
    return Because(
        min(max(wanted, figures.THREADS_MIN), figures.THREADS_MAX),
        f"{rate:.0f} requests a second on a worker, each blocking a thread for "
        "{blocking_milliseconds} ms, and a quarter more; between "
        f"{figures.THREADS_MIN} and {figures.THREADS_MAX}",
    )


SUPERVISOR.constant(
    "worker_healthcheck_seconds",
    60,
    "the supervisor kills a worker that is silent for so long; at uvicorn's default of 5 a pod "
    "that is short of CPU kills its own workers again and again",
    evidence="uvicorn issue 2506",
)


@GRANIAN.number(unit="connections")
def _max_connections(*, idle: int, max_in_flight: int) -> Because[int]:
    """The idle connections of the proxy + max_in_flight, at least 1024.

    granian stops accepting at this number, idle connections included.
    """
    return Because(
        max(figures.GRANIAN_CONNECTIONS_MIN, idle + max_in_flight),
        "granian stops accepting at this number: the {idle} connections that the proxy may keep "
        "open and {max_in_flight} requests, at least its own default of "
        f"{figures.GRANIAN_CONNECTIONS_MIN}",
    )
