"""NetworkPolicies at work: kube-router enforces them while each pair of pods is tried."""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import instances
from tests.demo.targets import Cluster
from tests.e2e import firewall as kube_router
from tests.e2e import reach
from tests.e2e.conftest import NODE, Shop
from tests.e2e.reach import Target
from tests.kubectl import Kubectl, eventually

METADATA = "169.254.169.254"
OUTSIDE_PORT = 18080
STRANGERS = "strangers"
# kube-router acts within about 1.5 s of a change.
ENFORCED_SECONDS = 60

# The ports of each part of the shop, which has no exporters: no Prometheus operator is installed.
PORTS = {
    "proxy": (8080, 8081),
    "app": (8000, 9000),
    "pooler": (5432,),
    "cache": (6379,),
    "database": (5432,),
}
# The ports that each client may use: the entry and metrics. Prometheus can run in any namespace.
OPEN_TO_ALL = {"proxy:8080", "app:9000"}
# Beside them, by the part that connects.
FLOWS: Mapping[str, set[str]] = {
    "proxy": {"app:8000"},
    "app": {"pooler:5432", "cache:6379"},
    "pooler": {"database:5432"},
    "cache": set(),
    "database": set(),
    "migration": {"database:5432", "cache:6379"},
    "stranger": set(),
    "other-namespace": set(),
}
# The parts whose own egress is limited to their flows; the others run the user's image.
CLOSED = {"proxy", "pooler", "cache", "database"}
OUTSIDE = {"outside", "metadata"}
DNS = {"dns-udp", "dns-tcp"}


@dataclass(frozen=True)
class Network:
    """The addresses of the shop's pods and of strangers, by name, and the servers to try."""

    sockets: Path
    pods: Mapping[str, str]
    targets: Mapping[str, Target]

    def reached(self, client: str) -> set[str]:
        """Returns the targets that a pod reaches, without those in itself."""
        found = reach.reached(self.sockets, self.pods[client], self.targets)
        return {name for name in found if not name.startswith(f"{client}:")}


@pytest.fixture(scope="module")
def network(cluster: Cluster, shop: Shop) -> Iterator[Network]:
    """All pods that are tried, while nothing enforces a policy."""
    instance = instances.find(NODE)
    assert instance is not None, f"the node {NODE} runs"
    # The migration of the shop is over; a pod with its labels takes its place.
    idle = {
        "migration": _idle("migration", shop.namespace, shop.app_image, _labels(shop, "migration")),
        "stranger": _idle("stranger", shop.namespace, shop.app_image, {}),
        "other-namespace": _idle("other-namespace", STRANGERS, shop.app_image, {}),
    }
    try:
        cluster.kubectl("create", "namespace", STRANGERS)
        cluster.kubectl.apply(*idle.values())
        inside = f"/run/netns/{instance.network_namespace}"
        pods = {part: _address(cluster.kubectl, shop, part) for part in PORTS}
        pods |= {name: _idle_address(cluster.kubectl, pod) for name, pod in idle.items()}
        targets = {
            f"{part}:{port}": Target("tcp", pods[part], port)
            for part, ports in PORTS.items()
            for port in ports
        }
        targets |= {
            "outside": Target("tcp", instance.host_address, OUTSIDE_PORT),
            "metadata": Target("tcp", METADATA, OUTSIDE_PORT),
            "dns-udp": Target("dns", instance.node_address, 53),
            "dns-tcp": Target("tcp", instance.node_address, 53),
        }
        with _server(instance.host_address), _metadata_server(inside):
            yield Network(instance.sockets, pods, targets)
    finally:
        cluster.kubectl("delete", "namespace", STRANGERS, "--wait=false", "--ignore-not-found")
        strangers = ("pod", "migration", "stranger", "-n", shop.namespace)
        cluster.kubectl("delete", *strangers, "--ignore-not-found")


@pytest.fixture(scope="module")
def firewall(network: Network, cluster: Cluster) -> Iterator[None]:
    """kube-router's firewall, first without effect, then removed with all of its rules."""
    folder = kube_router.program()
    if folder is None:
        pytest.skip("kube-router is not built; `make judges` builds it")
    # The probes work: without a firewall each client reaches every target.
    for client in network.pods:
        missing = set(network.targets) - network.reached(client)
        assert not {name for name in missing if not name.startswith(f"{client}:")}
    with kube_router.enforcing(folder):
        yield
    _eventually_reaches(network, "stranger", set(network.targets))


@pytest.mark.usefixtures("firewall")
@pytest.mark.parametrize("client", FLOWS)
def test_each_pod_reaches_its_own_servers_and_no_other(network: Network, client: str) -> None:
    expected = OPEN_TO_ALL | FLOWS[client] | OUTSIDE | DNS
    if client in CLOSED:
        expected = FLOWS[client] | (DNS if FLOWS[client] else set())
    _eventually_reaches(network, client, expected)


@pytest.mark.usefixtures("firewall")
def test_restricted_egress_leaves_dns_and_the_own_parts(network: Network, shop: Shop) -> None:
    shop.patch({"network": {"egress": "Restricted"}})
    try:
        for client in ("app", "migration"):
            _eventually_reaches(network, client, FLOWS[client] | DNS)
    finally:
        shop.patch({"network": None})
    _eventually_reaches(network, "app", OPEN_TO_ALL | FLOWS["app"] | OUTSIDE | DNS)


def _eventually_reaches(network: Network, client: str, expected: set[str]) -> None:
    expected = {name for name in expected if not name.startswith(f"{client}:")}
    last: list[set[str]] = []

    def is_as_expected() -> bool:
        last[:] = [network.reached(client)]
        return last[0] == expected

    try:
        eventually(is_as_expected, seconds=ENFORCED_SECONDS, what=client)
    except AssertionError as error:
        message = f"{client} reaches also {last[0] - expected}, and not {expected - last[0]}"
        raise AssertionError(message) from error


def _labels(shop: Shop, part: str) -> dict[str, str]:
    """The labels by which the policy of a part selects its pods."""
    name = f"{shop.name}-{part}"
    policy = shop.kubectl.json("get", "networkpolicy", name, "-n", shop.namespace)
    found: dict[str, str] = policy["spec"]["podSelector"]["matchLabels"]
    return found


def _address(kubectl: Kubectl, shop: Shop, part: str) -> str:
    selector = ",".join(f"{name}={value}" for name, value in _labels(shop, part).items())
    pods = kubectl.json("get", "pods", "-n", shop.namespace, "-l", selector)["items"]
    return str(next(pod for pod in pods if pod["status"]["phase"] == "Running")["status"]["podIP"])


def _idle_address(kubectl: Kubectl, pod: dict[str, Any]) -> str:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    kubectl("wait", f"pod/{name}", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    return str(kubectl.json("get", "pod", name, "-n", namespace)["status"]["podIP"])


def _idle(name: str, namespace: str, image: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A pod that does nothing, admitted by the restricted profile."""
    container = {
        "name": "idle",
        "image": image,
        # The image has no other program that waits.
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "containers": [container],
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
        },
    }


@contextlib.contextmanager
def _server(host: str) -> Iterator[None]:
    """A server on this machine, outside of the cluster."""
    with socket.create_server((host, OUTSIDE_PORT)) as server:

        def accept() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _metadata_server(namespace: str) -> Iterator[None]:
    """A server at the address of a cloud's metadata, in the network namespace of the node."""
    address = ["nsenter", f"--net={namespace}", "ip", "address"]
    subprocess.run([*address, "replace", f"{METADATA}/32", "dev", "lo"], check=True)
    code = f"import socket\ns=socket.create_server(('{METADATA}',{OUTSIDE_PORT}))\n"
    code += "while True: s.accept()[0].close()"
    process = subprocess.Popen(["nsenter", f"--net={namespace}", sys.executable, "-c", code])
    try:
        yield
    finally:
        process.kill()
        process.wait()
        subprocess.run([*address, "delete", f"{METADATA}/32", "dev", "lo"], check=True)
