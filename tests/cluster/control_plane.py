"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler as plain processes.

The same four serve a node (in its network namespace, ready to have pods) and the api tier (on
loopback, the first two or three alone).
"""

import dataclasses
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster import certificates, instances, kubeconfig, processes

# The order in which to stop: an API server whose etcd is gone ignores SIGTERM for minutes.
STOP_ORDER = ("kube-controller-manager", "kube-scheduler", "kube-apiserver", "etcd")
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "None", "userGroups": ["system:nodes"]},
        {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*"]},
        {"level": "None", "users": ["system:kube-controller-manager", "system:kube-scheduler"]},
        {"level": "Metadata"},
    ],
}


@dataclasses.dataclass(frozen=True)
class Endpoints:
    """The addresses on which the control plane listens."""

    address: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int
    network_namespace: str | None
    """None: the machine's own."""
    service_range: str

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.address}:{self.api_port}"

    @staticmethod
    def on_loopback(instance: instances.Instance) -> "Endpoints":
        """For an API server without a node."""
        port = instance.loopback_port
        return Endpoints(
            "127.0.0.1",
            port(0),
            port(1),
            port(2),
            network_namespace=None,
            # These addresses are never called, and a thousand services have thousands of them.
            service_range="10.96.0.0/16",
        )

    @staticmethod
    def in_namespace(instance: instances.Instance) -> "Endpoints":
        """For a node: the usual ports, in its own network namespace."""
        return Endpoints(
            instance.node_address,
            6443,
            2379,
            2380,
            network_namespace=instance.network_namespace,
            service_range=instance.service_range,
        )


class ControlPlane:
    """The control plane of one instance."""

    def __init__(self, instance: instances.Instance, endpoints: Endpoints, programs: Path) -> None:
        """Describe the control plane without starting it."""
        self._instance = instance
        self._endpoints = endpoints
        self._programs = programs
        self._processes = processes.Processes(instance.state)
        self.authority = certificates.Authority(instance.state / "certificates")

    def start_etcd(self) -> None:
        """Start etcd and return at once; the API server waits for it."""
        client = f"http://127.0.0.1:{self._endpoints.etcd_port}"
        peer = f"http://127.0.0.1:{self._endpoints.etcd_peer_port}"
        self._start(
            "etcd",
            {
                "name": "default",
                "data-dir": self._instance.state / "etcd",
                "listen-client-urls": client,
                "advertise-client-urls": client,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"default={peer}",
                "log-level": "warn",
                "unsafe-no-fsync": "true",  # the data dies with the instance
            },
        )

    def start_api_server(self) -> None:
        """Start kube-apiserver, write the administrator's kubeconfig, wait until it is ready."""
        hosts = [
            self._endpoints.address,
            "127.0.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            self._instance.api_service_address,
        ]
        issue = self.authority.issue
        serving, serving_key = issue("kube-apiserver", "kube-apiserver", hosts=hosts)
        kubelet_client, kubelet_client_key = issue(
            "kube-apiserver-kubelet-client", "kube-apiserver", organization="system:masters"
        )
        front_proxy, front_proxy_key = issue("front-proxy-client", "front-proxy-client")
        tokens = self.authority.signing_key("service-account")
        policy = self._instance.state / "audit-policy.json"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        flags: dict[str, str | int | Path] = {
            "etcd-servers": f"http://127.0.0.1:{self._endpoints.etcd_port}",
            "bind-address": self._endpoints.address,
            "advertise-address": self._endpoints.address,
            "secure-port": self._endpoints.api_port,
            "service-cluster-ip-range": self._endpoints.service_range,
            "allow-privileged": "true",
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "client-ca-file": self.authority.certificate,
            "tls-cert-file": serving,
            "tls-private-key-file": serving_key,
            "kubelet-certificate-authority": self.authority.certificate,
            "kubelet-client-certificate": kubelet_client,
            "kubelet-client-key": kubelet_client_key,
            "kubelet-preferred-address-types": "InternalIP",
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": tokens,
            "service-account-signing-key-file": tokens,
            # API aggregation, for metrics-server
            "requestheader-client-ca-file": self.authority.certificate,
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-username-headers": "X-Remote-User",
            "proxy-client-cert-file": front_proxy,
            "proxy-client-key-file": front_proxy_key,
            "audit-policy-file": policy,
            "audit-log-path": self._instance.logs / "audit.log",
        }
        if self._endpoints.network_namespace is None:
            # A loopback address may not be an endpoint of the Service `kubernetes`.
            flags["endpoint-reconciler-type"] = "none"
        self.kubeconfig(
            "kubernetes-admin", organization="system:masters", at=self._instance.kubeconfig
        )
        self._start("kube-apiserver", flags)
        self._processes.wait_until("kube-apiserver", self.is_ready, seconds=60)

    def start_controller_manager(self, chosen: Sequence[str] = ("*",)) -> None:
        """Start the built-in controllers: Deployments, Jobs, garbage collection and so on.

        Args:
            chosen: Their names; all that are on by default unless given.
        """
        user = "system:kube-controller-manager"
        self._start(
            "kube-controller-manager",
            {
                "kubeconfig": self.kubeconfig(user),
                "controllers": ",".join(chosen),
                "leader-elect": "false",
                "secure-port": 0,  # it gets no requests
                "service-account-private-key-file": self.authority.signing_key("service-account"),
                "root-ca-file": self.authority.certificate,
                "use-service-account-credentials": "true",  # RBAC grants each controller its own
            },
        )

    def start_scheduler(self) -> None:
        """Start kube-scheduler."""
        user = "system:kube-scheduler"
        self._start(
            "kube-scheduler",
            {"kubeconfig": self.kubeconfig(user), "leader-elect": "false", "secure-port": 0},
        )

    def kubeconfig(
        self, user: str, *, organization: str | None = None, at: Path | None = None
    ) -> Path:
        """Return the path of a kubeconfig for a user, made at the first call."""
        stem = user.replace(":", "-")
        path = at or self._instance.state / f"{stem}.kubeconfig"
        if not path.exists():
            kubeconfig.write(
                path,
                cluster=self._instance.name,
                server=self._endpoints.server,
                authority=self.authority.certificate,
                client=self.authority.issue(stem, user, organization=organization),
            )
        return path

    def is_ready(self) -> bool:
        """Whether the API server reports that it is ready."""
        trust = ssl.create_default_context(cafile=str(self.authority.certificate))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        try:
            with opener.open(f"{self._endpoints.server}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _start(self, name: str, flags: Mapping[str, str | int | Path]) -> None:
        arguments = [f"--{flag}={value}" for flag, value in flags.items()]
        self._processes.start(
            name,
            [self._programs / name, *arguments],
            network_namespace=self._endpoints.network_namespace,
        )
