"""Opens connections from inside the network namespace of a pod.

The probe runs on the machine's own Python, so that no image needs a tool. Run as a program, it
reads targets from standard input: ``{"name": ["tcp" or "dns", host, port]}``; it prints the names
of those that it reached.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

# Below the sockets of an instance: containerd mounts the network namespaces of pods here.
_NAMESPACES = "containerd/io.containerd.grpc.v1.cri/netns"
# A firewall that drops packets is noticed by silence only.
_TIMEOUT_SECONDS = 2.0
# A DNS query for the A record of kubernetes.default.svc.cluster.local (RFC 1035).
_QUERY = (
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    + b"".join(
        bytes([len(label)]) + label.encode()
        for label in ("kubernetes", "default", "svc", "cluster", "local")
    )
    + b"\x00\x00\x01\x00\x01"
)


class Target(NamedTuple):
    """A server to reach.

    Attributes:
        protocol: ``tcp`` opens a connection; ``dns`` expects the response to a query over UDP.
        host: Its address.
        port: Its port.
    """

    protocol: str
    host: str
    port: int


def reached(sockets: Path, pod_address: str, targets: Mapping[str, Target]) -> set[str]:
    """Returns the names of the targets that a pod reaches.

    Args:
        sockets: The sockets of the node's instance.
        pod_address: The address of the pod.
        targets: The servers to try, by name.

    Raises:
        LookupError: No pod of this machine has the address.
        subprocess.CalledProcessError: The probe failed.
    """
    command = ["nsenter", f"--net={_namespace(sockets, pod_address)}", sys.executable, __file__]
    result = subprocess.run(
        command, input=json.dumps(targets), capture_output=True, text=True, check=True
    )
    return set(json.loads(result.stdout))


def _namespace(sockets: Path, pod_address: str) -> Path:
    for path in (sockets / _NAMESPACES).iterdir():
        show = ["nsenter", f"--net={path}", "ip", "-o", "addr"]
        addresses = subprocess.run(show, capture_output=True, text=True).stdout
        if f" {pod_address}/" in addresses:
            return path
    raise LookupError(f"no network namespace below {sockets} has the address {pod_address}")


def _is_reached(target: Iterable[object]) -> bool:
    protocol, host, port = target
    try:
        if protocol == "tcp":
            socket.create_connection((str(host), int(str(port))), _TIMEOUT_SECONDS).close()
            return True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(_TIMEOUT_SECONDS)
            client.sendto(_QUERY, (str(host), int(str(port))))
            return client.recv(512)[:2] == _QUERY[:2]
    except OSError:
        return False


if __name__ == "__main__":
    requested = json.load(sys.stdin)
    with ThreadPoolExecutor(32) as pool:
        found = pool.map(_is_reached, requested.values())
        pairs = zip(requested, found, strict=True)
        print(json.dumps([name for name, is_reached in pairs if is_reached]))
