"""kubelet and kube-proxy, which make the machine a node."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import cgroups, control_plane, instances, processes


class Worker:
    """The node's own two processes."""

    def __init__(
        self,
        instance: instances.Instance,
        programs: Path,
        plane: control_plane.ControlPlane,
        runtime_socket: Path,
    ) -> None:
        """Describe both without starting them."""
        self._instance = instance
        self._programs = programs
        self._plane = plane
        self._runtime_socket = runtime_socket
        self._processes = processes.Processes(instance.state)

    def start(self) -> None:
        """Starts both and returns at once; `kubectl wait` on the Node shows when it is ready."""
        self._start_kubelet()
        self._start_kube_proxy()

    def _start_kubelet(self) -> None:
        name, address = self._instance.name, self._instance.node_address
        cgroups.make(self._instance)
        # Not `serving`: the kubelet would take it for a certificate of its own making.
        certificate, key = self._plane.authority.issue(
            "kubelet-server", f"system:node:{name}", hosts=[name, address]
        )
        resolver = self._instance.state / "resolv.conf"
        resolver.write_text(f"nameserver {address}\n")
        state = self._instance.state
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self._plane.authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "clusterDNS": [address],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolver),
            "containerRuntimeEndpoint": f"unix://{self._runtime_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroups.path(self._instance),
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,  # lowering it needs CAP_SYS_RESOURCE
            "podLogsDir": str(self._instance.pod_logs),
            "volumePluginDir": str(state / "volume-plugins"),
            # A full disk is the machine's matter; no image could be pulled again.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
                "imagefs.inodesFree": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            # Changed ConfigMaps reach pods in 10 s; the default is a minute.
            "syncFrequency": "10s",
        }
        path = state / "kubelet.json"
        path.write_text(json.dumps(config, indent=2))
        flags = {
            "config": path,
            "kubeconfig": self._plane.kubeconfig(
                f"system:node:{name}", organization="system:nodes"
            ),
            "root-dir": state / "kubelet",
            "cert-dir": state / "kubelet-certificates",
            "hostname-override": name,
            "node-ip": address,
            # From here the kubelet's container metrics get the names of their owners.
            "containerd": self._runtime_socket,
        }
        self._start("kubelet", flags)

    def _start_kube_proxy(self) -> None:
        flags = {
            "kubeconfig": self._plane.kubeconfig("system:kube-proxy"),
            "hostname-override": self._instance.name,
            "proxy-mode": "nftables",
            "cluster-cidr": self._instance.pod_range,
            "oom-score-adj": 0,
            # The sysctls of connection tracking may be read-only.
            "conntrack-max-per-core": 0,
            "conntrack-min": 0,
            "conntrack-tcp-timeout-established": "0s",
            "conntrack-tcp-timeout-close-wait": "0s",
        }
        self._start("kube-proxy", flags)

    def _start(self, name: str, flags: Mapping[str, object]) -> None:
        arguments = [f"--{flag}={value}" for flag, value in flags.items()]
        self._processes.start(
            name,
            [self._programs / name, *arguments],
            network_namespace=self._instance.network_namespace,
        )
