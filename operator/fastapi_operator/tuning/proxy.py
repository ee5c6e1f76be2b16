"""The proxy in front of the app."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.server import Server
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.tuning import effects, figures, proxy_limits
from fastapi_operator.tuning.client_address import Source, client_address
from fastapi_operator.tuning.compute import round_up
from fastapi_operator.tuning.decision import Because, Decision
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import ScalingPlan, ServerCore
from fastapi_operator.tuning.profile import ProfiledSpec
from fastapi_operator.tuning.proxy_features import feature_numbers
from fastapi_operator.tuning.routes import ALL, Route, normal, route_problems, routes

PROXY = Group("proxy", effects.SERVER_RELOAD)
# Caddy has no such settings: it is one process that reads its CPU from the cgroup.
NGINX = Group("proxy", effects.SERVER_RELOAD, case="nginx")
PROCESSES = Group("proxy", effects.SERVER_RELOAD, case="nginx")


@dataclass(frozen=True, kw_only=True)
class ProxyPlan:
    """The proxy in front of the app; numbers of unused features are None."""

    replicas: Decision[int]
    cpu_request_millicores: Decision[int]
    memory_bytes: Decision[int]
    worker_processes: Decision[int] | None = None
    worker_connections: Decision[int] | None = None
    upstream_keep_alive: Decision[int]
    upstream_keep_alive_seconds: Decision[int]
    upstream_tries: Decision[int]
    max_connections_per_pod: Decision[int] | None = None
    pod_connections: Decision[int] | None = None
    resolve_seconds: Decision[int] | None = None
    max_fails: Decision[int] | None = None
    fail_seconds: Decision[int] | None = None
    upstream_zone_bytes: Decision[int] | None = None
    max_streams_per_pod: Decision[int] | None = None
    pod_streams: Decision[int] | None = None
    max_reserved_per_pod: Decision[int] | None = None
    pod_reserved: Decision[int] | None = None
    max_requests: Decision[int] | None = None
    max_bodies: Decision[int] | None = None
    max_requests_per_client: Decision[int] | None = None
    upstream_requests: Decision[int] | None = None
    client_keep_alive_seconds: Decision[int]
    client_keep_alive_min_seconds: Decision[int] | None = None
    max_body_bytes: Decision[int]
    max_header_bytes: Decision[int]
    body_buffer_bytes: Decision[int] | None = None
    buffer_bytes: Decision[int] | None = None
    buffers: Decision[int] | None = None
    answer_file_bytes: Decision[int] | None = None
    connect_timeout_seconds: Decision[int]
    read_timeout_seconds: Decision[int]
    client_timeout_seconds: Decision[int]
    send_timeout_seconds: Decision[int] | None = None
    stream_timeout_seconds: Decision[int] | None = None
    compression_min_bytes: Decision[int] | None = None
    cache_bytes: Decision[int] | None = None
    cache_volume_bytes: Decision[int] | None = None
    cache_keys_bytes: Decision[int] | None = None
    cache_idle_seconds: Decision[int] | None = None
    rate_per_second: Decision[int] | None = None
    rate_burst: Decision[int] | None = None
    rate_clients_bytes: Decision[int] | None = None
    static_max_age_seconds: Decision[int] | None = None
    static_volume_bytes: Decision[int] | None = None
    routes: tuple[Route, ...]

    def numbers(self) -> dict[str, int | None]:
        """Returns each value by its name, for templates."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        decided = {name: value for name, value in fields.items() if name != "routes"}
        return {name: value.value if value else None for name, value in decided.items()}


def proxy_plan(profiled: ProfiledSpec, core: ServerCore, scaling: ScalingPlan) -> ProxyPlan:
    """Decides the numbers of the proxy."""
    spec = profiled.spec
    proxy, exposure = spec.proxy or Proxy(), spec.exposure or Exposure()
    is_nginx = proxy.engine != "Caddy"
    decided = feature_numbers(profiled, proxy)
    if is_nginx:
        cpu = figures.PROXY_CPU_MILLICORES
        decided |= PROCESSES.decide(profiled, cpu_request_millicores=cpu)
    decided |= proxy_limits.per_pod(profiled, proxy, core)
    limits = [decided.get(name) for name in ("max_connections_per_pod", "max_reserved_per_pod")]
    known: dict[str, Any] = {
        "max_replicas": scaling.max_replicas,
        "requests_per_pod": sum(limit.value for limit in limits if limit is not None)
        or core.workers.value * core.max_in_flight.value,
        "streams_per_pod": decided.get("max_streams_per_pod", 0),
        "worker_processes": decided["worker_processes"] if is_nginx else 1,
    }
    decided |= PROXY.decide(
        profiled,
        **known,
        balancing=proxy.balancing or "Pods",
        app_seconds=core.keep_alive_seconds,
        pre_stop_seconds=core.pre_stop_seconds,
        edge_idle_seconds=exposure.idle_timeout_seconds or figures.EDGE_IDLE_TIMEOUT_SECONDS,
        cache_keys_bytes=decided.get("cache_keys_bytes", 0),
        rate_clients_bytes=decided.get("rate_clients_bytes", 0),
    )
    if is_nginx:
        decided |= NGINX.decide(profiled, **known, replicas=decided["replicas"])
        decided |= proxy_limits.ACCEPTED.decide(profiled, **decided)
        if client_address(proxy, exposure).source is not Source.CONNECTION:
            decided |= proxy_limits.PROVEN.decide(profiled, **decided)
    decided |= proxy_limits.shares(profiled, proxy, decided)
    max_age = decided.get("static_max_age_seconds")
    return ProxyPlan(
        **decided,
        routes=routes(
            proxy, exposure, max_age.value if max_age else 0, proxy_limits.priorities(spec)
        ),
    )


def proxy_problems(spec: Spec) -> Iterator[Problem]:
    """Reports sizes out of bounds, and paths that contradict each other."""
    proxy, exposure = spec.proxy or Proxy(), spec.exposure or Exposure()
    if proxy.max_header_size is not None:
        size = quantity.size_bytes(proxy.max_header_size)
        if not figures.PROXY_HEADER_MIN_BYTES <= size <= figures.PROXY_HEADER_MAX_BYTES:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path="spec.proxy.maxHeaderSize",
                message=f"{proxy.max_header_size} is not between 1Ki and 1Mi",
                remedy="set 8Ki to 32Ki; servers behind the proxy accept little more",
            )
    if proxy.engine == "Caddy":
        yield from _unsupported_by_caddy(proxy)
    yield from route_problems(proxy, exposure, proxy_limits.priorities(spec))
    yield from _priority_problems(proxy, spec.server or Server())


def _priority_problems(proxy: Proxy, server: Server) -> Iterator[Problem]:
    """Reports priorities that have no effect."""
    for index, path in enumerate(server.priorities or ()):
        if normal(path) == ALL:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path=f"spec.server.priorities[{index}]",
                message="/ is every request, so none is rejected last",
                remedy="set the paths that matter most",
            )
    no_proxy = proxy.engine == "None"
    runtime = server.probes is not None and server.probes.source == "Runtime"
    if server.priorities and not runtime and (no_proxy or proxy.balancing == "Service"):
        reason = "engine: None" if no_proxy else "balancing: Service"
        yield Problem(
            severity=Severity.WARNING,
            stage=Stage.PLAN,
            path="spec.server.priorities",
            message=f"has an effect only in an app with fastapi-operator-runtime: spec.proxy has "
            f"{reason}, and so no limit for each pod",
            remedy=f"remove {reason}, or if the image has the runtime, set "
            "spec.server.probes.source: Runtime",
        )


def _unsupported_by_caddy(proxy: Proxy) -> Iterator[Problem]:
    for field, section in (("cache", proxy.cache), ("rateLimit", proxy.rate_limit)):
        if section is not None:
            yield Problem(
                severity=Severity.ERROR,
                stage=Stage.PLAN,
                path=f"spec.proxy.{field}",
                message="is not supported with Caddy, which needs a plugin for it",
                remedy=f"set engine: Nginx, or remove {field}",
            )


@PROXY.number(
    unit="pods",
    effect=effects.OBJECT_NONE,
    field="proxy.replicas",
    ceiling="proxy.replicas",
    headline=True,
)
def _replicas(*, max_replicas: int) -> Because[int]:
    """2; 1 if the app runs one pod."""
    if max_replicas <= 1:
        return Because(1, "the app runs one pod")
    return Because(2, "one may be lost or replaced while the other serves")


PROXY.constant(
    "cpu_request_millicores",
    figures.PROXY_CPU_MILLICORES,
    "nginx passes thousands of requests a second on a tenth of a core",
    effect=effects.OBJECT_ROLLOUT,
    field="parts.proxy.resources.requests.cpu",
    amount="cpu",
    evidence="judgement",
)


@PROXY.number(
    effect=effects.OBJECT_ROLLOUT, field="parts.proxy.resources.limits.memory", amount="memory"
)
def _memory_bytes(
    *,
    cache_keys_bytes: int,
    rate_clients_bytes: int,
    max_replicas: int,
    streams_per_pod: int,
    replicas: int,
) -> Because[int]:
    """128 MiB + shared memory for cache keys and client addresses + streams, in steps of 32 MiB.

    An open stream takes 16 KiB. Other connections and buffers take little (judgement).
    """
    streams = math.ceil(max_replicas * streams_per_pod / replicas)
    more = cache_keys_bytes + rate_clients_bytes + streams * figures.PROXY_STREAM_BYTES
    return Because(
        figures.PROXY_MEMORY_BYTES + round_up(more),
        f"{figures.PROXY_MEMORY_BYTES // figures.MIB}Mi for connections and buffers, shared "
        "memory for keys of the cache ({cache_keys_bytes}) and addresses of clients "
        f"({{rate_clients_bytes}}), and {streams} streams",
    )


@PROCESSES.number(unit="processes", headline=True)
def _worker_processes(*, cpu_request_millicores: int) -> Because[int]:
    """⌈CPU⌉.

    nginx's `auto` counts the node's cores: it does not read the cgroup.
    """
    return Because(
        max(1, math.ceil(cpu_request_millicores / 1000)),
        "one for each started core of {cpu_request_millicores}; nginx's auto would count the "
        "node's",
    )


@NGINX.number(unit="connections")
def _worker_connections(
    *,
    max_replicas: int,
    requests_per_pod: int,
    streams_per_pod: int,
    replicas: int,
    worker_processes: int,
) -> Because[int]:
    """4 · requests of all pods / (replicas · processes), as a power of two, 8192 to 16384.

    A proxied request takes two, and idle clients, which take half a KiB each, the rest.
    """
    most = max_replicas * (requests_per_pod + streams_per_pod)
    factor = figures.PROXY_CONNECTIONS_PER_REQUEST * figures.PROXY_IDLE_FACTOR
    wanted = _power_of_two(factor * most / replicas / worker_processes)
    least, largest = figures.PROXY_CONNECTIONS_MIN, figures.PROXY_CONNECTIONS_MAX
    return Because(
        min(max(wanted, least), largest),
        f"{factor} for each of {most} requests and streams that the app gets at most, over "
        f"{{replicas}} pods; between {least} and {largest}",
    )


@PROXY.number(unit="connections")
def _upstream_keep_alive(
    *, max_replicas: int, requests_per_pod: int, replicas: int, worker_processes: int
) -> Because[int]:
    """Requests of all pods / (replicas · processes), as a power of two, at least 32."""
    most = max_replicas * requests_per_pod
    return Because(
        max(
            figures.PROXY_UPSTREAM_KEEP_ALIVE_MIN,
            _power_of_two(most / replicas / worker_processes),
        ),
        f"idle connections for {most} requests that the app gets at most, over {{replicas}} pods; "
        f"at least {figures.PROXY_UPSTREAM_KEEP_ALIVE_MIN}",
    )


@PROXY.number()
def _upstream_keep_alive_seconds(*, app_seconds: int, pre_stop_seconds: int) -> Because[int]:
    """(pre_stop_seconds − 2) / 2, at most 15 less than keep_alive_seconds of the app.

    A connection may be idle for so long. With `balancing: Service` it is also used for so long at
    most: both end before the server of a pod that stops does.
    """
    while_leaving = (pre_stop_seconds - figures.ENDPOINT_SECONDS) // 2
    return Because(
        max(1, min(while_leaving, app_seconds - figures.KEEP_ALIVE_MARGIN_SECONDS)),
        "twice this time is shorter than the {pre_stop_seconds} s for which a pod that stops still "
        "serves, and than the {app_seconds} s of the app, so the proxy never writes into a closing "
        "socket",
    )


@PROXY.number(unit="attempts")
def _upstream_tries(*, balancing: str) -> Because[int]:
    """5; 10 with `balancing: Service`.

    kube-proxy picks at random. If of two pods one has ended, ten connections in a row are refused
    once in a thousand times (judgement).
    """
    if balancing == "Pods":
        return Because(
            figures.PROXY_POD_TRIES,
            "a request is sent to other pods if the first ones refuse it or do not respond",
        )
    return Because(
        figures.PROXY_SERVICE_TRIES,
        "a pod that has just ended refuses connections until Kubernetes removes its endpoint; each "
        "attempt through the {balancing} may reach another pod",
    )


@PROXY.number()
def _client_keep_alive_seconds(*, edge_idle_seconds: int) -> Because[int]:
    """`exposure.idleTimeoutSeconds`, or else 60, + 15.

    The load balancer in front closes first, so it never writes into a closing socket. 60 is the
    default of AWS's.
    """
    return Because(
        edge_idle_seconds + figures.KEEP_ALIVE_MARGIN_SECONDS,
        "longer than the {edge_idle_seconds} s after which the load balancer in front closes an "
        "idle connection; otherwise it writes into a closing socket",
    )


PROXY.constant(
    "max_body_bytes",
    10 * figures.MIB,
    "enough for JSON; for uploads set spec.proxy.maxBodySize",
    field="proxy.maxBodySize",
    evidence="judgement",
)
PROXY.constant(
    "max_header_bytes",
    8 * 1024,
    "enough for cookies and tokens; spec.proxy.maxHeaderSize sets it",
    field="proxy.maxHeaderSize",
    evidence="nginx's default",
)
PROXY.constant(
    "connect_timeout_seconds",
    2,
    "a pod that does not accept by then is lost, and another one is tried",
    field="proxy.timeouts.connectSeconds",
    evidence="judgement",
)
PROXY.constant(
    "read_timeout_seconds",
    figures.PROXY_READ_TIMEOUT_SECONDS,
    "the last of the timeouts: longer than a statement may run "
    f"({figures.STATEMENT_TIMEOUT_SECONDS} s)",
    field="proxy.timeouts.readSeconds",
)
PROXY.constant(
    "client_timeout_seconds",
    15,
    "between two pieces of a request; slower clients would only hold connections",
    field="proxy.timeouts.clientSeconds",
    evidence="judgement",
)
NGINX.constant(
    "upstream_requests",
    1000,
    "nginx's default: after so many requests the connection to the app is opened again, perhaps "
    "to another pod",
    unit="requests",
)
NGINX.constant(
    "client_keep_alive_min_seconds",
    10,
    "nginx that reloads or ends serves one more request on connections used within this time, and "
    "announces that it was the last",
    evidence="judgement; otherwise it would close them while a request is on its way",
)
NGINX.constant(
    "send_timeout_seconds",
    30,
    "between two pieces of a response; a client that accepts none for so long is gone",
    evidence="judgement; half of nginx's default",
)
NGINX.constant(
    "body_buffer_bytes",
    64 * 1024,
    "bodies of requests up to this size stay in memory; the app gets each as a whole",
    evidence="judgement; JSON fits, larger bodies go to a file",
)
NGINX.constant(
    "buffer_bytes",
    8 * 1024,
    "the headers of a response with their cookies fit, and each piece of its body",
    evidence="judgement; twice nginx's default",
)
NGINX.constant(
    "buffers",
    16,
    "a process of the app is free as soon as its response is here; a larger one goes to a file",
    unit="buffers",
    evidence="judgement; twice nginx's default, so that a worker does not wait for a slow client",
)
NGINX.constant(
    "answer_file_bytes",
    64 * figures.MIB,
    "of a response that its client reads slowly; above it the app waits for the client",
    evidence="judgement",
)


def _power_of_two(number: float) -> int:
    """Rounds up to a power of two, so that small changes of load do not reload the proxy."""
    return int(2 ** math.ceil(math.log2(max(1.0, number))))
