"""nginx as in a proxy pod, and one that only forwards, in front of a local server."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.runtime import servers
from tests.unit.resources.nginx import Nginx
from tests.unit.resources.operands import eventually, listens

# As in a cluster with Prometheus.
_SPEC = {"observability": {"metrics": {"exporters": True}}}
# The least that a proxy does: it keeps connections to the app, and writes nothing.
_PLAIN = """\
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream app {{
        server 127.0.0.1:{app};
        keepalive 32;
    }}
    server {{
        listen {port};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


@dataclass(frozen=True)
class _App:
    port: int


@dataclass(frozen=True)
class Proxy:
    """A running nginx.

    Attributes:
        port: Its port.
        pid: The process that started it.
    """

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Returns the CPU time of its processes."""
        return sum(map(servers.cpu_seconds, _with_children(self.pid)))


@contextlib.contextmanager
def running(app_port: int) -> Iterator[Proxy]:
    """Starts the nginx of a minimal service on the servers' core."""
    with _nginx(app_port) as nginx, contextlib.ExitStack() as stack:
        with _on_the_servers_core():
            proxy = stack.enter_context(nginx.running(**_SPEC))
        assert "fastapi_proxy_connections" in nginx.counts(), "it counts requests"
        yield Proxy(nginx.pod.port(8080), proxy.pid)


@contextlib.contextmanager
def plain(app_port: int) -> Iterator[Proxy]:
    """Starts an nginx on the servers' core that only forwards."""
    with _nginx(app_port) as nginx, contextlib.ExitStack() as stack:
        port, folder = nginx.pod.port(8080), nginx.pod.paths["/run/nginx"]
        config = _PLAIN.format(folder=folder, port=port, app=app_port)
        (folder / "plain.conf").write_text(config)
        command = ("nginx", "-e", "stderr", "-c", "/run/nginx/plain.conf", "-g", "daemon off;")
        with _on_the_servers_core():
            proxy = stack.enter_context(nginx.pod.running(*command))
        eventually(lambda: listens(port), "nginx listens")
        yield Proxy(port, proxy.pid)


@contextlib.contextmanager
def _nginx(app_port: int) -> Iterator[Nginx]:
    with tempfile.TemporaryDirectory() as folder:
        # The user of the pod reads it.
        Path(folder).chmod(0o755)
        nginx = Nginx(Path(folder), _App(app_port))  # type: ignore[arg-type]
        nginx.dns.addresses = ("127.0.0.1",)
        yield nginx


@contextlib.contextmanager
def _on_the_servers_core() -> Iterator[None]:
    """Lets processes that start in the block run on the servers' core."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {servers.SERVER_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _with_children(int(found))
