"""The limits of the proxy: what it sends to a pod at once, and what it accepts itself.

Open nginx has no queue in front of the app: the requests that a pod may have at once are the queue,
and the next one is rejected. So the limit is also the longest wait.
"""

import math
from typing import Any

from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.service import Spec
from fastapi_operator.tuning import effects, figures
from fastapi_operator.tuning.decision import Because
from fastapi_operator.tuning.number import Group
from fastapi_operator.tuning.plan import ServerCore
from fastapi_operator.tuning.profile import ProfiledSpec

PODS = Group("proxy", effects.SERVER_RELOAD, case="unless balancing is Service")
STREAMS_OF_PODS = Group(
    "proxy", effects.SERVER_RELOAD, case="with streamingPaths, unless balancing is Service"
)
RESERVE_OF_PODS = Group(
    "proxy", effects.SERVER_RELOAD, case="with server.priorities, unless balancing is Service"
)
SHARES = Group("proxy", effects.SERVER_RELOAD, case="unless balancing is Service")
IN_NGINX = Group("proxy", effects.SERVER_RELOAD, case="nginx, unless balancing is Service")
STREAM_SHARES = Group(
    "proxy", effects.SERVER_RELOAD, case="with streamingPaths, unless balancing is Service"
)
RESERVE_SHARES = Group(
    "proxy", effects.SERVER_RELOAD, case="with server.priorities, unless balancing is Service"
)
ACCEPTED = Group("proxy", effects.SERVER_RELOAD, case="nginx")
PROVEN = Group("proxy", effects.SERVER_RELOAD, case="nginx, if a proxy in front names clients")


def per_pod(profiled: ProfiledSpec, proxy: Proxy, core: ServerCore) -> dict[str, Any]:
    """Decides what a pod of the app gets at once from all pods of the proxy together."""
    if proxy.balancing == "Service":
        return {}
    known: dict[str, Any] = {"workers": core.workers, "max_in_flight": core.max_in_flight}
    decided = PODS.decide(profiled, **known)
    if proxy.streaming_paths:
        decided |= STREAMS_OF_PODS.decide(profiled, **known)
    if priorities(profiled.spec):
        decided |= RESERVE_OF_PODS.decide(profiled, **known, **decided)
    return decided


def shares(profiled: ProfiledSpec, proxy: Proxy, known: dict[str, Any]) -> dict[str, Any]:
    """Divides it by the pods of the proxy, and decides how each of them finds the app's pods."""
    if proxy.balancing == "Service":
        return {}
    decided = SHARES.decide(profiled, **known)
    if proxy.engine != "Caddy":
        decided |= IN_NGINX.decide(profiled)
    if proxy.streaming_paths:
        decided |= STREAM_SHARES.decide(profiled, **known)
    if priorities(profiled.spec):
        decided |= RESERVE_SHARES.decide(profiled, **known)
    return decided


def priorities(spec: Spec) -> tuple[str, ...]:
    """Returns the paths for which the proxy has a reserve: it needs a limit for each pod."""
    of_pods = spec.proxy is None or spec.proxy.balancing != "Service"
    return (spec.server.priorities if spec.server and of_pods else None) or ()


@PODS.number(unit="requests", field="proxy.maxConnectionsPerPod", headline=True)
def _max_connections_per_pod(*, workers: int, max_in_flight: int) -> Because[int]:
    """Workers · max_in_flight.

    A request waits for those in front of it. At ten times the capacity of two pods with 0.2 CPU and
    4 ms of CPU a request, the p99 was 0.8 to 0.9 s at 16 requests, 1.3 to 1.7 s at 32, and at 64
    clients gave up. But if the queue is short in time, requests are rejected at half the capacity
    whenever new pods that start leave the others without a CPU for 0.3 s (`make resilience`).
    """
    return Because(
        workers * max_in_flight,
        "{max_in_flight} requests, which a process admits, for each of {workers} workers; further "
        "ones get 503 at once if no pod has room",
    )


@STREAMS_OF_PODS.number(unit="streams", field="proxy.maxStreamsPerPod")
def _max_streams_per_pod(*, workers: int) -> Because[int]:
    """1000 · workers.

    A stream is idle nearly always, so streams have a limit of their own and do not count in
    max_connections_per_pod.
    """
    return Because(
        figures.PROXY_STREAMS_PER_WORKER * workers,
        f"{figures.PROXY_STREAMS_PER_WORKER} idle streams for each of {{workers}} workers, beside "
        "all other requests",
    )


@RESERVE_OF_PODS.number(unit="requests")
def _max_reserved_per_pod(
    *, max_connections_per_pod: int, workers: int, max_in_flight: int
) -> Because[int]:
    """min(⌊½ · max_connections_per_pod⌋, workers · ⌊½ · max_in_flight⌋), at least 1.

    Slots beside max_connections_per_pod, which requests of `server.priorities` use when no other
    slot is free. The runtime admits ½ · max_in_flight beyond the limit of its process. With a
    quarter of 18 slots, each of two proxy pods had 2 for a pod, and at five times the capacity
    24 % of 20 requests a second were rejected.
    """
    of_slots = int(max_connections_per_pod * figures.PRIORITY_SHARE)
    of_processes = workers * int(max_in_flight * figures.PRIORITY_SHARE)
    return Because(
        max(1, min(of_slots, of_processes)),
        "half as many beside the {max_connections_per_pod} slots of a pod, and not more than the "
        "reserve of {workers} processes with {max_in_flight} requests each",
    )


@SHARES.number(unit="requests")
def _pod_connections(*, max_connections_per_pod: int, replicas: int) -> Because[int]:
    """⌈max_connections_per_pod / replicas⌉.

    nginx counts its own requests only.
    """
    return Because(
        math.ceil(max_connections_per_pod / replicas),
        "each of {replicas} proxy pods counts its own requests, so each gets its share of "
        "{max_connections_per_pod}",
    )


@STREAM_SHARES.number(unit="streams")
def _pod_streams(*, max_streams_per_pod: int, replicas: int) -> Because[int]:
    """⌈max_streams_per_pod / replicas⌉."""
    return Because(
        math.ceil(max_streams_per_pod / replicas),
        "the share of each of {replicas} proxy pods in {max_streams_per_pod}",
    )


@RESERVE_SHARES.number(unit="requests")
def _pod_reserved(*, max_reserved_per_pod: int, replicas: int) -> Because[int]:
    """⌊max_reserved_per_pod / replicas⌋, at least 1.

    Rounded down, so that all shares together are not more than the reserve of the app's processes.
    """
    return Because(
        max(1, max_reserved_per_pod // replicas),
        "the share of each of {replicas} proxy pods in {max_reserved_per_pod}",
    )


SHARES.constant(
    "resolve_seconds",
    2,
    "after so long the proxy asks DNS again which pods are ready, and no longer sends requests to "
    "pods that left",
    evidence="judgement: DNS servers of clusters keep an answer for 5 s, and a pod that stops "
    "serves for 10 s more",
)
SHARES.constant(
    "max_fails",
    3,
    "a pod that refuses or breaks so many connections in a row gets no requests for fail_seconds",
    unit="requests",
    evidence="judgement",
)
SHARES.constant(
    "fail_seconds",
    2,
    "then one request tries the pod again",
    evidence="judgement: a container that restarts serves again within seconds",
)
IN_NGINX.constant(
    "upstream_zone_bytes",
    figures.MIB,
    "shared memory in which the processes of nginx count the requests of up to a thousand pods",
    evidence="judgement",
)


@ACCEPTED.number(unit="requests")
def _max_requests(*, worker_connections: int, worker_processes: int) -> Because[int]:
    """(worker_connections − 512) / 2 · processes.

    Further requests get 503. So a connection is always free for probes, which a flood of slow
    requests otherwise takes.
    """
    usable = worker_connections - figures.PROXY_CONNECTIONS_RESERVED
    return Because(
        usable // figures.PROXY_CONNECTIONS_PER_REQUEST * worker_processes,
        f"each takes two of {{worker_connections}} connections, and "
        f"{figures.PROXY_CONNECTIONS_RESERVED} stay free, so that probes always succeed",
    )


@ACCEPTED.number(unit="requests")
def _max_bodies(*, max_requests: int, body_buffer_bytes: int) -> Because[int]:
    """64 MiB / body_buffer_bytes, at most ¼ · max_requests.

    nginx has no deadline for a whole body, so bodies that arrive slowly must not take all requests.
    """
    return Because(
        min(figures.PROXY_BODIES_BYTES // body_buffer_bytes, max_requests // 4),
        f"requests with a body, at {{body_buffer_bytes}} each: "
        f"{figures.PROXY_BODIES_BYTES // figures.MIB}Mi of memory, and at most a quarter of "
        "{max_requests} requests, so that slow bodies delay no other requests",
    )


@PROVEN.number(unit="requests", field="proxy.maxRequestsPerClient")
def _max_requests_per_client(*, max_requests: int) -> Because[int]:
    """⅛ · max_requests.

    Only if a proxy in front names the client. Otherwise many clients can have one address.
    """
    return Because(
        max(1, int(max_requests * figures.PROXY_CLIENT_SHARE)),
        "an eighth of {max_requests}: one client cannot take them all",
    )
