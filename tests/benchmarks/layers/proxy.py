"""nginx and its exporter as in a proxy pod, in front of a local server."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.runtime import servers
from tests.unit.resources.nginx import Nginx

# As in a cluster with Prometheus.
_SPEC = {"observability": {"metrics": {"exporters": True}}}


@dataclass(frozen=True)
class _App:
    port: int


@dataclass(frozen=True)
class Proxy:
    """A running proxy pod.

    Attributes:
        port: Its port.
        nginx: The process that started nginx.
        exporter: The process of mtail.
    """

    port: int
    nginx: int
    exporter: int

    def nginx_seconds(self) -> float:
        """Returns the CPU time of nginx's processes."""
        return sum(map(servers.cpu_seconds, _with_children(self.nginx)))

    def exporter_seconds(self) -> float:
        """Returns the CPU time of mtail."""
        return sum(map(servers.cpu_seconds, _with_children(self.exporter)))


@contextlib.contextmanager
def running(app_port: int) -> Iterator[Proxy]:
    """Starts nginx and mtail of a minimal service on the servers' core."""
    own = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        # The user of the pod reads it.
        Path(folder).chmod(0o755)
        nginx = Nginx(Path(folder), _App(app_port))  # type: ignore[arg-type]
        nginx.dns.addresses = ("127.0.0.1",)
        os.sched_setaffinity(0, {servers.SERVER_CORE})
        try:
            exporter = stack.enter_context(nginx.counted(**_SPEC))
            proxy = stack.enter_context(nginx.running(**_SPEC))
        finally:
            os.sched_setaffinity(0, own)
        yield Proxy(nginx.pod.port(8080), proxy.pid, exporter.pid)


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _with_children(int(found))
