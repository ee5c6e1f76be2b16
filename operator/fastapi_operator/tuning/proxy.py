"""The proxy before the app."""

import ipaddress
import math
from collections.abc import Iterator

from fastapi_operator import quantity
from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.proxy import Compression, Proxy, Timeouts
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning import proxy_features as features
from fastapi_operator.tuning.decision import Because, Decision, decide, fixed, overridden
from fastapi_operator.tuning.plan import ProxyPlan, ScalingPlan, ServerPlan
from fastapi_operator.tuning.routes import route_problems, routes


def proxy_plan(
    proxy: Proxy, exposure: Exposure, server: ServerPlan, scaling: ScalingPlan
) -> ProxyPlan:
    """The numbers of the proxy."""
    timeouts = proxy.timeouts or Timeouts()
    replicas = decide(
        "proxy.replicas",
        _replicas,
        unit="pods",
        effect=effects.OBJECT_NONE,
        override=overridden(proxy.replicas, "spec.proxy.replicas"),
        max_replicas=scaling.max_replicas,
    )
    cpu_request = fixed(
        "proxy.cpu_request_millicores",
        figures.PROXY_CPU_MILLICORES,
        "nginx passes thousands of requests a second on a tenth of a core",
        unit="",
        effect=effects.OBJECT_ROLLOUT,
    )
    # Caddy is one process, which learns its CPU from the cgroup.
    worker_processes = _worker_processes_decision(cpu_request) if proxy.engine != "Caddy" else None
    processes = worker_processes.value if worker_processes else 1
    in_flight = scaling.max_replicas.value * server.workers.value * server.max_in_flight.value
    cache_bytes = features.cache_bytes(proxy.cache) if proxy.cache else None
    cache_keys_bytes = features.cache_keys_bytes(cache_bytes) if cache_bytes else None
    rate = features.rate_per_second(proxy.rate_limit) if proxy.rate_limit else None
    rate_clients_bytes = features.rate_clients_bytes() if proxy.rate_limit else None
    static_max_age = features.static_max_age_seconds() if proxy.static else None
    return ProxyPlan(
        replicas=replicas,
        cpu_request_millicores=cpu_request,
        memory_bytes=decide(
            "proxy.memory_bytes",
            _memory,
            unit="",
            effect=effects.OBJECT_ROLLOUT,
            cache_keys_bytes=cache_keys_bytes.value if cache_keys_bytes else 0,
            rate_clients_bytes=rate_clients_bytes.value if rate_clients_bytes else 0,
        ),
        worker_processes=worker_processes,
        worker_connections=(
            _worker_connections_decision(in_flight, replicas.value, processes)
            if worker_processes
            else None
        ),
        upstream_keep_alive=decide(
            "proxy.upstream_keep_alive",
            _upstream_keep_alive,
            unit="connections",
            in_flight=in_flight,
            replicas=replicas,
            worker_processes=processes,
            effect=effects.SERVER_RELOAD,
        ),
        upstream_keep_alive_seconds=decide(
            "proxy.upstream_keep_alive_seconds",
            _upstream_keep_alive_seconds,
            unit="seconds",
            app_seconds=server.keep_alive_seconds,
            pre_stop_seconds=server.pre_stop_seconds,
            effect=effects.SERVER_RELOAD,
        ),
        upstream_tries=fixed(
            "proxy.upstream_tries",
            figures.PROXY_UPSTREAM_TRIES,
            "a pod that has just ended refuses connections until Kubernetes knows of it; each try "
            "may land on another one",
            unit="connections",
            effect=effects.SERVER_RELOAD,
        ),
        client_keep_alive_seconds=decide(
            "proxy.client_keep_alive_seconds",
            _client_keep_alive_seconds,
            unit="seconds",
            edge_idle_seconds=exposure.idle_timeout_seconds or figures.EDGE_IDLE_TIMEOUT_SECONDS,
            effect=effects.SERVER_RELOAD,
        ),
        max_body_bytes=decide(
            "proxy.max_body_bytes",
            _max_body,
            unit="",
            override=features.size(proxy.max_body_size, "spec.proxy.maxBodySize"),
            effect=effects.SERVER_RELOAD,
        ),
        max_header_bytes=decide(
            "proxy.max_header_bytes",
            _max_header,
            unit="",
            override=features.size(proxy.max_header_size, "spec.proxy.maxHeaderSize"),
            effect=effects.SERVER_RELOAD,
        ),
        connect_timeout_seconds=decide(
            "proxy.connect_timeout_seconds",
            _connect_timeout,
            unit="seconds",
            override=overridden(timeouts.connect_seconds, "spec.proxy.timeouts.connectSeconds"),
            effect=effects.SERVER_RELOAD,
        ),
        read_timeout_seconds=decide(
            "proxy.read_timeout_seconds",
            _read_timeout,
            unit="seconds",
            override=overridden(timeouts.read_seconds, "spec.proxy.timeouts.readSeconds"),
            effect=effects.SERVER_RELOAD,
        ),
        client_timeout_seconds=decide(
            "proxy.client_timeout_seconds",
            _client_timeout,
            unit="seconds",
            override=overridden(timeouts.client_seconds, "spec.proxy.timeouts.clientSeconds"),
            effect=effects.SERVER_RELOAD,
        ),
        **_buffers(of_nginx=proxy.engine != "Caddy"),
        stream_timeout_seconds=features.stream_timeout_seconds() if proxy.streaming_paths else None,
        compression_min_bytes=features.compression_min_bytes(proxy.compression or Compression()),
        cache_bytes=cache_bytes,
        cache_volume_bytes=features.cache_volume_bytes(cache_bytes) if cache_bytes else None,
        cache_keys_bytes=cache_keys_bytes,
        cache_idle_seconds=features.cache_idle_seconds(proxy.cache) if proxy.cache else None,
        rate_per_second=rate,
        rate_burst=features.rate_burst(proxy.rate_limit, rate)
        if proxy.rate_limit and rate
        else None,
        rate_clients_bytes=rate_clients_bytes,
        static_max_age_seconds=static_max_age,
        static_volume_bytes=features.static_volume_bytes() if proxy.static else None,
        routes=routes(proxy, exposure, static_max_age.value if static_max_age else 0),
    )


def _worker_processes_decision(cpu_request: Decision[int]) -> Decision[int]:
    return decide(
        "proxy.worker_processes",
        _worker_processes,
        unit="processes",
        cpu_millicores=cpu_request,
        effect=effects.SERVER_RELOAD,
    )


def _worker_connections_decision(in_flight: int, replicas: int, processes: int) -> Decision[int]:
    return decide(
        "proxy.worker_connections",
        _worker_connections,
        unit="connections",
        in_flight=in_flight,
        replicas=replicas,
        worker_processes=processes,
        effect=effects.SERVER_RELOAD,
    )


def _buffers(*, of_nginx: bool) -> dict[str, Decision[int] | None]:
    """What the proxy takes from one side before the other has; Caddy has no such settings."""
    figure_of = {
        "upstream_requests": (
            figures.PROXY_UPSTREAM_REQUESTS,
            "requests",
            "nginx's default: a connection to the app is then made anew, perhaps to another pod",
        ),
        "client_keep_alive_min_seconds": (
            figures.PROXY_CLIENT_KEEP_ALIVE_MIN_SECONDS,
            "seconds",
            "nginx that reloads or ends answers one more request on connections used so lately, "
            "and tells the client that it was the last",
        ),
        "send_timeout_seconds": (
            figures.PROXY_SEND_TIMEOUT_SECONDS,
            "seconds",
            "between two pieces of an answer; a client that takes nothing for so long is gone",
        ),
        "body_buffer_bytes": (
            figures.PROXY_BODY_BUFFER_BYTES,
            "",
            "bodies of requests up to this stay in memory; the app gets each as a whole",
        ),
        "buffer_bytes": (
            figures.PROXY_BUFFER_BYTES,
            "",
            "an answer's headers with their cookies fit, and each piece of its body",
        ),
        "buffers": (
            figures.PROXY_BUFFERS,
            "buffers",
            "a process of the app is free as soon as its answer lies here; a larger one goes to a "
            "file",
        ),
        "answer_file_bytes": (
            figures.PROXY_ANSWER_FILE_BYTES,
            "",
            "of an answer that its client takes slowly; beyond it the app waits for the client",
        ),
    }
    return {
        name: fixed(f"proxy.{name}", value, reason, unit=unit, effect=effects.SERVER_RELOAD)
        if of_nginx
        else None
        for name, (value, unit, reason) in figure_of.items()
    }


def proxy_problems(proxy: Proxy, exposure: Exposure) -> Iterator[Problem]:
    """What the schema cannot see: sizes out of bounds, ranges that are none, paths that clash."""
    if proxy.max_header_size is not None:
        size = quantity.size_bytes(proxy.max_header_size)
        if not figures.PROXY_HEADER_MIN_BYTES <= size <= figures.PROXY_HEADER_MAX_BYTES:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path="spec.proxy.maxHeaderSize",
                message=f"{proxy.max_header_size} is not between 1Ki and 1Mi",
                remedy="write 8Ki to 32Ki; servers behind the proxy take little more",
            )
    for index, network in enumerate(proxy.trusted_networks or ()):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path=f"spec.proxy.trustedNetworks[{index}]",
                message=f"{network} is no range of addresses",
                remedy="write one such as 10.0.0.0/8",
            )
    if proxy.engine == "Caddy":
        yield from _beyond_caddy(proxy)
    yield from route_problems(proxy, exposure)


def _beyond_caddy(proxy: Proxy) -> Iterator[Problem]:
    for field, given, what in (
        ("cache", proxy.cache, "keeps no answers"),
        ("rateLimit", proxy.rate_limit, "limits no rates"),
    ):
        if given is not None:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path=f"spec.proxy.{field}",
                message=f"Caddy without plugins {what}",
                remedy=f"write engine: Nginx, or remove {field}",
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


def _upstream_keep_alive_seconds(*, app_seconds: int, pre_stop_seconds: int) -> Because[int]:
    # It serves for so long and may then rest for so long, before its last request.
    while_leaving = (pre_stop_seconds - figures.ENDPOINT_SECONDS) // 2
    return Because(
        max(1, min(while_leaving, app_seconds - figures.KEEP_ALIVE_MARGIN_SECONDS)),
        "in use and at rest together shorter than the {pre_stop_seconds} s for which a pod that "
        "ends still serves, and than the {app_seconds} s of the app, so that the proxy never "
        "writes into a closing socket",
    )


def _max_body() -> Because[int]:
    return Because(figures.PROXY_BODY_BYTES, "enough for JSON; uploads set spec.proxy.maxBodySize")


def _read_timeout() -> Because[int]:
    return Because(
        figures.PROXY_READ_TIMEOUT_SECONDS,
        f"the last rung: longer than a statement may run ({figures.STATEMENT_TIMEOUT_SECONDS} s)",
    )


def _client_keep_alive_seconds(*, edge_idle_seconds: int) -> Because[int]:
    return Because(
        edge_idle_seconds + figures.KEEP_ALIVE_MARGIN_SECONDS,
        "longer than the {edge_idle_seconds} s after which the load balancer in front closes an "
        "idle connection; the other way round it writes into a closing socket",
    )


def _max_header() -> Because[int]:
    return Because(
        figures.PROXY_HEADER_BYTES,
        "enough for cookies and tokens; spec.proxy.maxHeaderSize sets it",
    )


def _connect_timeout() -> Because[int]:
    return Because(
        figures.PROXY_CONNECT_TIMEOUT_SECONDS,
        "a pod that does not accept by then is gone, and another one is tried",
    )


def _client_timeout() -> Because[int]:
    return Because(
        figures.PROXY_CLIENT_TIMEOUT_SECONDS,
        "between two pieces of a request; slower clients would only hold connections",
    )


def _memory(*, cache_keys_bytes: int, rate_clients_bytes: int) -> Because[int]:
    zones = cache_keys_bytes + rate_clients_bytes
    rounded = math.ceil(zones / figures.MEMORY_ROUNDING_BYTES) * figures.MEMORY_ROUNDING_BYTES
    return Because(
        figures.PROXY_MEMORY_BYTES + rounded,
        f"{figures.PROXY_MEMORY_BYTES // figures.MIB}Mi for connections and buffers, and shared "
        "memory for keys of the cache ({cache_keys_bytes}) and addresses of clients "
        "({rate_clients_bytes})",
    )


def _power_of_two(number: float) -> int:
    """Rounded up to a power of two, so that small changes of load do not reload the proxy."""
    return int(2 ** math.ceil(math.log2(max(1.0, number))))
