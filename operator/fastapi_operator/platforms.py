"""Facts of the platforms on which services run, in one place.

The charts of the operator and of a service repeat the ports of DNS; a test compares them.
"""

from dataclasses import dataclass

# Pods of OpenShift's DNS listen on 5353, and policies apply to the port of the pod. Elsewhere it is
# 53.
DNS_PORTS = (53, 5353)

# Addresses from which a cloud serves credentials of the node, for IPv4 and IPv6.
METADATA_ADDRESSES = ("169.254.169.254/32", "fd00:ec2::254/128")

# Every image of a service is for Linux; a cluster may also have nodes with Windows.
NODE_SELECTOR = {"kubernetes.io/os": "linux"}

# By these a pod declines the sidecars of a service mesh, and the redirection of Istio's ambient
# mode. Istio and Kuma read labels, Linkerd and Consul annotations.
MESH_LABELS = {
    "istio.io/dataplane-mode": "none",
    "kuma.io/sidecar-injection": "disabled",
    "sidecar.istio.io/inject": "false",
}
MESH_ANNOTATIONS = {
    "consul.hashicorp.com/connect-inject": "false",
    "linkerd.io/inject": "disabled",
}


@dataclass(frozen=True)
class Mesh:
    """A service mesh whose pods need connections beside those of the service.

    Attributes:
        api: A kind that shows that the cluster has the mesh.
        namespace: The namespace of its control plane, by default.
        control_ports: The ports of the control plane to which a sidecar connects.
        tunnel_port: The port at which a meshed pod accepts connections of other meshed pods to any
            of its ports.
        probe_addresses: The addresses from which the mesh passes on the kubelet's probes.
    """

    api: str
    namespace: str
    control_ports: tuple[int, ...]
    tunnel_port: int
    probe_addresses: tuple[str, ...] = ()


MESHES = (
    # https://istio.io/latest/docs/ambient/usage/networkpolicy/
    Mesh(
        api="security.istio.io/v1/PeerAuthentication",
        namespace="istio-system",
        control_ports=(15012,),
        tunnel_port=15008,
        probe_addresses=("169.254.7.127/32", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128"),
    ),
    # https://linkerd.io/2/common-errors/network-policy/
    Mesh(
        api="linkerd.io/v1alpha2/ServiceProfile",
        namespace="linkerd",
        control_ports=(8080, 8086, 8090),
        tunnel_port=4143,
    ),
)
