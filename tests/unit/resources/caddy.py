"""A real Caddy in the place of a service's proxy, and its clients."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.unit.resources.nameserver import Nameserver
from tests.unit.resources.nginx import ENTRY_PORT
from tests.unit.resources.operands import Pod, container, eventually, files, listens, wanted
from tests.unit.resources.web import App, ask


class Caddy:
    """Caddy with the files, the script and the directories of a proxy pod."""

    def __init__(self, root: Path, app: App) -> None:
        self.pod = Pod(root)
        for path in ("/etc/caddy", "/run/caddy", "/tmp", "/srv/www", "/etc/proxy-tls"):
            self.pod.directory(path)
        self.pod.ports = {8000: app.port}
        for port in (8080, 8081, 8443, ENTRY_PORT):
            self.pod.port(port)
        self.dns = Nameserver("127.0.0.1")
        # The pod has the DNS server in its resolv.conf.
        self.pod.hosts |= {
            "shop-app": "localhost",
            "name shop-app-pods": f"name shop-app-pods\n\t\t\tresolvers {self.dns.address}",
        }

    def written(self, **spec: Any) -> tuple[str, ...]:
        """Writes the configuration of a service with this spec; how to start Caddy on it."""
        proxy = {"engine": "Caddy"} | spec.pop("proxy", {})
        objects = wanted(proxy=proxy, **spec)
        self.pod.write("/etc/caddy", files(objects, "shop-proxy"))
        return tuple(container(objects, "Deployment/shop-proxy", "caddy")["command"])

    @contextmanager
    def running(self, **spec: Any) -> Iterator[Any]:
        """Caddy as a service with this spec gets it."""
        with self.pod.running(*self.written(**spec)) as server:
            eventually(lambda: listens(self.pod.port(8080)), f"Caddy: {self.pod.output()}")
            yield server
            # A pod that ends announces it for three seconds, which has tests of its own.
            server.kill()
            server.wait()

    def get(self, path: str = "/", port: int = 8080, **headers: str) -> http.client.HTTPResponse:
        """The answer to a GET at a port of the pod."""
        return ask(self.pod.port(port), path, **headers)

    def log(self) -> list[dict[str, Any]]:
        """The access log."""
        records = [json.loads(line) for line in self.pod.output().splitlines() if line[0] == "{"]
        return [record for record in records if record["msg"] == "handled request"]
