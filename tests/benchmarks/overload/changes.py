"""Changes and clients beside the load: rollouts, pod deaths, crowds, and idle streams."""

import concurrent.futures
import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from tests.benchmarks.overload import load
from tests.benchmarks.overload.bench import GENERATOR_CORE, Service
from tests.benchmarks.overload.load import Seen
from tests.kubectl import eventually

CLIENTS = 2000
STREAMS_PER_POD = 500
_SETTLE_SECONDS = 240
_BEFORE_SECONDS = 3
_REQUEST = b"GET /events HTTP/1.1\r\nHost: bench\r\n\r\n"


def rollout(service: Service) -> None:
    """Replaces the pods of the app."""
    marker = {"name": "MARKER", "value": f"{time.time_ns()}"}
    service.patch({"env": [*service.get()["spec"].get("env", ()), marker]})
    _settle(service)


def scale_out(service: Service) -> None:
    """Adds a pod."""
    service.patch({"scaling": {"replicas": len(service.pods()) + 1}})
    _settle(service)


def pod_death(service: Service) -> None:
    """Kills a pod of the app without notice."""
    name = service.pods()[0]["metadata"]["name"]
    service.kubectl(
        *("delete", "pod", name, "-n", service.namespace, "--grace-period=0", "--force")
    )
    _settle(service)


CHANGES: Mapping[str, Callable[[Service], None]] = {
    "rollout": rollout,
    "scale-out": scale_out,
    "pod death": pod_death,
}


def under_load(
    service: Service, url: str, change: Callable[[Service], None], *, rate: float, seconds: float
) -> Seen:
    """Makes a change while requests arrive."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        sent = pool.submit(load.run, url, rate=rate, seconds=seconds, core=GENERATOR_CORE)
        time.sleep(_BEFORE_SECONDS)
        change(service)
        return sent.result()


@contextlib.contextmanager
def idle_streams(url: str, number: int) -> Iterator[list[socket.socket]]:
    """Streams whose first event has arrived and that stay open."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    with contextlib.ExitStack() as stack:
        streams = []
        for _ in range(number):
            stream = stack.enter_context(socket.create_connection(address, timeout=20))
            stream.sendall(_REQUEST)
            streams.append(stream)
        yield [stream for stream in streams if stream.recv(4096).startswith(b"HTTP/1.1 200")]


def _settle(service: Service) -> None:
    def is_settled() -> bool:
        status = service.kubectl.json(
            *("get", "deployment", service.name, "-n", service.namespace)
        )["status"]
        wanted = service.get()["spec"]["scaling"]["replicas"]
        return all(
            status.get(count, 0) == wanted
            for count in ("replicas", "updatedReplicas", "readyReplicas")
        )

    eventually(is_settled, seconds=_SETTLE_SECONDS, what=f"{service.name} settles", pause=1)
