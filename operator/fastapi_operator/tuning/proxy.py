"""nginx before the app."""

import math

from fastapi_operator import quantity
from fastapi_operator.api.proxy import Proxy, Timeouts
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because, decide, overridden
from fastapi_operator.tuning.plan import ProxyPlan, ScalingPlan, ServerPlan


def proxy_plan(proxy: Proxy, server: ServerPlan, scaling: ScalingPlan) -> ProxyPlan:
    """The numbers of nginx."""
    body = proxy.max_body_size
    timeouts = proxy.timeouts or Timeouts()
    replicas = decide(
        "proxy.replicas",
        _replicas,
        unit="pods",
        effect=effects.OBJECT_NONE,
        override=overridden(proxy.replicas, "spec.proxy.replicas"),
        max_replicas=scaling.max_replicas,
    )
    worker_processes = decide(
        "proxy.worker_processes",
        _worker_processes,
        unit="processes",
        cpu_millicores=figures.PROXY_CPU_MILLICORES,
        effect=effects.SERVER_RELOAD,
    )
    in_flight = scaling.max_replicas.value * server.workers.value * server.max_in_flight.value
    return ProxyPlan(
        replicas=replicas,
        worker_processes=worker_processes,
        worker_connections=decide(
            "proxy.worker_connections",
            _worker_connections,
            unit="connections",
            in_flight=in_flight,
            replicas=replicas,
            worker_processes=worker_processes,
            effect=effects.SERVER_RELOAD,
        ),
        upstream_keep_alive=decide(
            "proxy.upstream_keep_alive",
            _upstream_keep_alive,
            unit="connections",
            in_flight=in_flight,
            replicas=replicas,
            worker_processes=worker_processes,
            effect=effects.SERVER_RELOAD,
        ),
        upstream_keep_alive_seconds=decide(
            "proxy.upstream_keep_alive_seconds",
            _upstream_keep_alive_seconds,
            unit="seconds",
            app_seconds=server.keep_alive_seconds,
            effect=effects.SERVER_RELOAD,
        ),
        max_body_bytes=decide(
            "proxy.max_body_bytes",
            _max_body,
            unit="",
            override=overridden(
                None if body is None else quantity.size_bytes(body), "spec.proxy.maxBodySize"
            ),
            effect=effects.SERVER_RELOAD,
        ),
        read_timeout_seconds=decide(
            "proxy.read_timeout_seconds",
            _read_timeout,
            unit="seconds",
            override=overridden(timeouts.read_seconds, "spec.proxy.timeouts.readSeconds"),
            effect=effects.SERVER_RELOAD,
        ),
    )


def _replicas(*, max_replicas: int) -> Because[int]:
    if max_replicas <= 1:
        return Because(1, "the app runs one pod")
    return Because(2, "one may be lost or replaced while the other serves")


def _worker_processes(*, cpu_millicores: int) -> Because[int]:
    return Because(
        max(1, math.ceil(cpu_millicores / 1000)),
        "one for each started core of {cpu_millicores}; nginx's auto would count the node's",
    )


def _worker_connections(*, in_flight: int, replicas: int, worker_processes: int) -> Because[int]:
    share = figures.PROXY_CONNECTIONS_PER_REQUEST * in_flight / (replicas * worker_processes)
    return Because(
        max(figures.PROXY_CONNECTIONS_MIN, _power_of_two(share)),
        "four for each of {in_flight} requests that the app takes at most, over {replicas} pods; "
        f"at least {figures.PROXY_CONNECTIONS_MIN}",
    )


def _upstream_keep_alive(*, in_flight: int, replicas: int, worker_processes: int) -> Because[int]:
    # The app sheds at twice what it sustains, so half of the ceiling is the working load.
    share = in_flight / figures.SHED_FACTOR / (replicas * worker_processes)
    return Because(
        max(figures.PROXY_UPSTREAM_KEEP_ALIVE_MIN, _power_of_two(share)),
        "idle connections kept for half of {in_flight} requests, over {replicas} pods; "
        f"at least {figures.PROXY_UPSTREAM_KEEP_ALIVE_MIN}",
    )


def _upstream_keep_alive_seconds(*, app_seconds: int) -> Because[int]:
    return Because(
        min(
            figures.PROXY_UPSTREAM_KEEP_ALIVE_SECONDS,
            max(1, app_seconds - figures.KEEP_ALIVE_MARGIN_SECONDS),
        ),
        "shorter than the {app_seconds} s of the app, so that the proxy never writes into a "
        "closing socket",
    )


def _max_body() -> Because[int]:
    return Because(figures.PROXY_BODY_BYTES, "enough for JSON; uploads set spec.proxy.maxBodySize")


def _read_timeout() -> Because[int]:
    return Because(
        figures.PROXY_READ_TIMEOUT_SECONDS,
        f"the last rung: longer than a statement may run ({figures.STATEMENT_TIMEOUT_SECONDS} s)",
    )


def _power_of_two(number: float) -> int:
    """Rounded up to a power of two, so that small changes of load do not reload the proxy."""
    return int(2 ** math.ceil(math.log2(max(1.0, number))))
