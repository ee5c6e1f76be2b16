"""The parts that a cluster is expected to have in addition to Kubernetes: DNS, metrics, volumes.

All three are plain processes on the node's address, with an administrator's kubeconfig.
"""

import base64
import json
from pathlib import Path

from tests.cluster import control_plane, execution, instances, processes

_METRICS_PORT = 4443
_PROVISIONER = "fastapi-operator.io/directories"
_COREFILE = """\
cluster.local in-addr.arpa {{
    bind {address}
    errors
    health {address}:8080
    ready {address}:8181
    kubernetes {{
        kubeconfig {kubeconfig}
        pods verified
        ttl 5
    }}
    cache 5 {{
        disable denial
    }}
}}
"""


class Addons:
    """DNS, metrics and volumes of one node."""

    def __init__(
        self, instance: instances.Instance, programs: Path, plane: control_plane.ControlPlane
    ) -> None:
        """Describe the add-ons without starting them."""
        self._instance = instance
        self._programs = programs
        self._plane = plane
        self._processes = processes.Processes(instance.state)

    def start(self) -> None:
        """Start all three, and create the objects that register them in the cluster."""
        self._start_dns()
        self._start_metrics()
        self._start_volumes()
        self._apply([*self._metrics_objects(), self._storage_class()])

    def _start_dns(self) -> None:
        corefile = self._instance.state / "Corefile"
        corefile.write_text(
            _COREFILE.format(
                address=self._instance.node_address, kubeconfig=self._instance.kubeconfig
            )
        )
        self._start("coredns", "-conf", corefile)

    def _start_metrics(self) -> None:
        serving, serving_key = self._plane.authority.issue(
            "metrics-server",
            "metrics-server",
            hosts=["metrics-server.kube-system.svc", self._instance.node_address],
        )
        kubeconfig = self._instance.kubeconfig
        self._start(
            "metrics-server",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--kubelet-certificate-authority={self._plane.authority.certificate}",
            f"--bind-address={self._instance.node_address}",
            f"--secure-port={_METRICS_PORT}",
            f"--tls-cert-file={serving}",
            f"--tls-private-key-file={serving_key}",
            "--metric-resolution=10s",
        )

    def _start_volumes(self) -> None:
        directory = self._instance.state / "volumes"
        directory.mkdir(exist_ok=True)
        self._start(
            "volumes",
            f"--kubeconfig={self._instance.kubeconfig}",
            f"--directory={directory}",
            f"--node={self._instance.name}",
            f"--provisioner={_PROVISIONER}",
        )

    def _start(self, name: str, *arguments: str | Path) -> None:
        self._processes.start(
            name,
            [self._programs / name, *arguments],
            network_namespace=self._instance.network_namespace,
        )

    def _metrics_objects(self) -> list[dict[str, object]]:
        """The aggregated API, and a Service without selector that leads to the process."""
        metadata = {"name": "metrics-server", "namespace": "kube-system"}
        labels = {"kubernetes.io/service-name": "metrics-server"}
        authority = base64.b64encode(self._plane.authority.certificate.read_bytes()).decode()
        return [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"ports": [{"name": "https", "port": 443, "targetPort": _METRICS_PORT}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**metadata, "labels": labels},
                "addressType": "IPv4",
                "ports": [{"name": "https", "port": _METRICS_PORT, "protocol": "TCP"}],
                "endpoints": [
                    {"addresses": [self._instance.node_address], "conditions": {"ready": True}}
                ],
            },
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": "v1beta1.metrics.k8s.io"},
                "spec": {
                    "group": "metrics.k8s.io",
                    "version": "v1beta1",
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "caBundle": authority,
                    "service": {"name": "metrics-server", "namespace": "kube-system"},
                },
            },
        ]

    def _storage_class(self) -> dict[str, object]:
        default = {"storageclass.kubernetes.io/is-default-class": "true"}
        return {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "standard", "annotations": default},
            "provisioner": _PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        }

    def _apply(self, objects: list[dict[str, object]]) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": objects}
        execution.output_of(
            [self._programs / "kubectl", "apply", "--server-side", "--filename", "-"],
            stdin=json.dumps(document),
            environment={"KUBECONFIG": str(self._instance.kubeconfig)},
        )
