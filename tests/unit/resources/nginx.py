"""A real nginx in the place of a service's proxy, and its clients."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi_operator.parts import METRICS, Part
from tests.cluster import debian
from tests.unit.resources.nameserver import Nameserver
from tests.unit.resources.operands import (
    Pod,
    container,
    eventually,
    files,
    listens,
    wanted,
)
from tests.unit.resources.web import App, ask

# From the response of the DNS server until nginx knows the pods.
RESOLVED_SECONDS = 0.1
# The port of the further entry admin.
ENTRY_PORT = 22326
METRICS_PORT = Part.PROXY.record.ports[METRICS]
# Debian's package of the module that counts requests. The official image contains it.
_COUNTS_PACKAGE = "libnginx-mod-http-js"


class Nginx:
    """nginx with the files, the script and the directories of a proxy pod.

    Attributes:
        pod: The directory that stands for the pod.
        dns: The DNS server of the cluster.
    """

    def __init__(self, root: Path, app: App) -> None:
        self.pod = Pod(root)
        self.pod.install_with_libraries(debian.ensure("nginx", _COUNTS_PACKAGE))
        modules = "/usr/lib/nginx/modules"
        self.pod.paths[modules] = self.pod.root / "bin" / "root" / modules.strip("/")
        for path in ("/etc/nginx", "/run/nginx", "/tmp", "/var/cache/nginx", "/srv/www"):
            self.pod.directory(path)
        self.pod.directory("/etc/proxy-tls")
        self.pod.ports = {8000: app.port}
        for port in (8080, 8081, 8443, ENTRY_PORT, METRICS_PORT):
            self.pod.port(port)
        self.pod.hosts |= {"shop-app": "localhost", "shop-app-pods": "shop-app-pods"}
        # The Service of a new version, if nginx does not choose its pods.
        self.pod.hosts |= {"shop-canary": "127.0.0.2", "shop-canary-pods": "shop-canary-pods"}
        self.dns = Nameserver("127.0.0.1")
        resolv_conf = self.pod.root / "resolv.conf"
        resolv_conf.write_text(
            f"search default.svc.example.net svc.example.net\nnameserver {self.dns.address}\n"
        )
        self.pod.paths["/etc/resolv.conf"] = resolv_conf
        # A container's runtime gives standard output to the pod's user; a test run by root cannot.
        self.pod.paths["/dev/stdout"] = self.pod.directory("/access-log") / "log"

    def written(self, **spec: Any) -> tuple[str, ...]:
        """Writes the configuration of a service with this spec; how to start nginx on it."""
        objects = wanted(**spec)
        self.pod.write("/etc/nginx", files(objects, "shop-proxy"))
        script = container(objects, "Deployment/shop-proxy", "nginx")["command"]
        # nginx finds the file of an image by default; the test passes its path.
        return (*script[:2], script[2].replace("nginx -e", "nginx -c /etc/nginx/nginx.conf -e"))

    def tested(self, **spec: Any) -> tuple[int, str]:
        """Exit status and output of a test of the configuration of a service with this spec."""
        start = self.written(**spec)
        prepared = start[2].partition("nginx -c")[0]
        test = "nginx -t -q -e stderr -c /etc/nginx/nginx.conf"
        result = self.pod.run(*start[:2], f"{prepared} {test}")
        return result.returncode, result.stdout + result.stderr

    @contextmanager
    def running(self, **spec: Any) -> Iterator[Any]:
        """nginx as a service with this spec gets it."""
        start, asked = self.written(**spec), len(self.dns.asked)
        with self.pod.running(*start) as server:
            eventually(lambda: listens(self.pod.port(8080)), f"nginx: {self.pod.output()}")
            # nginx asks for the pods when it starts, after it listens.
            upstreams = (self.pod.paths["/etc/nginx"] / "upstreams.conf").read_text()
            if " resolve" in upstreams and self.dns.responds:
                expected = asked + upstreams.count(" resolve\n")
                eventually(lambda: len(self.dns.asked) >= expected, "nginx asks for the pods")
            time.sleep(RESOLVED_SECONDS)
            yield server
            if server.poll() is None:
                # As a pod that ends it would wait ten seconds for the connections of its clients.
                self.pod.run("nginx", "-c", "/etc/nginx/nginx.conf", "-s", "stop")

    def counts(self) -> str:
        """The page of its metrics."""
        return self.get("/metrics", METRICS_PORT).read().decode()

    def get(self, path: str = "/", port: int = 8080, **headers: str) -> http.client.HTTPResponse:
        """The answer to a GET at a port of the pod."""
        return ask(self.pod.port(port), path, **headers)

    def log(self) -> list[dict[str, str]]:
        """The access log."""
        return [json.loads(line) for line in self.pod.paths["/dev/stdout"].read_text().splitlines()]
