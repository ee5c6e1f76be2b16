"""Traefik as the controller of Gateways and Ingresses, and the definitions that it needs."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.kubectl import eventually

GATEWAY_API = "sigs.k8s.io/gateway-api@v1.5.1"
CERT_MANAGER = "github.com/cert-manager/cert-manager@v1.21.2"
GATEWAY_CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "traefik"},
    "spec": {"controllerName": "traefik.io/gateway-controller"},
}

INGRESS_CLASS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": "traefik"},
    "spec": {"controller": "traefik.io/ingress-controller"},
}


def definitions(module: str, folder: str) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions in a folder of a Go module, at their real schemas."""
    command = ["go", "mod", "download", "-json", module]
    # Outside of any module, so that this one's version is not resolved against others.
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    directory = Path(json.loads(answer.stdout)["Dir"]) / folder
    bodies = [body for path in directory.glob("*.yaml") for body in _documents(path)]
    return [body for body in bodies if body.get("kind") == "CustomResourceDefinition"]


@contextmanager
def running(kubeconfig: Path, log: Path, further: Mapping[str, str] | None = None) -> Iterator[int]:
    """Traefik outside of the cluster, for the length of a block; yields its port.

    Args:
        kubeconfig: Reaches the cluster.
        log: The file for its log.
        further: Options by name, beside those for Gateways and Ingresses.
    """
    program = shutil.which("traefik")
    assert program, "traefik is missing: it is in requirements/dev.txt"
    port = free_port()
    options = {
        "entrypoints.web.address": f"127.0.0.1:{port}",
        "providers.kubernetesgateway": "true",
        "providers.kubernetesgateway.statusaddress.ip": "127.0.0.1",
        "providers.kubernetesingress": "true",
        "global.checknewversion": "false",
        "global.sendanonymoususage": "false",
        "log.level": "INFO",
        **(further or {}),
    }
    command = [program, *(f"--{name}={value}" for name, value in options.items())]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            eventually(lambda: _listens(port), seconds=60, what=f"Traefik listens ({log})")
            yield port
        finally:
            process.terminate()
            process.wait(20)


def text(body: dict[str, Any]) -> str:
    """An object as kubectl reads it."""
    return json.dumps(body)


def gateway(namespace: str, port: int, hosts: str) -> dict[str, Any]:
    """A Gateway ``public`` of Traefik, whose listener takes hosts like ``*.example.com``."""
    listener = {"name": "web", "protocol": "HTTP", "port": port, "hostname": hosts}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": namespace},
        "spec": {
            "gatewayClassName": "traefik",
            "listeners": [{**listener, "allowedRoutes": {"namespaces": {"from": "All"}}}],
        },
    }


def _documents(path: Path) -> list[dict[str, Any]]:
    return [body for body in yaml.safe_load_all(path.read_text()) if body]


def free_port() -> int:
    """A port that no process uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
