"""NetworkPolicies, all from one table of allowed connections.

The table follows from the ports and clients in the records of the parts. Every pod of the service
accepts only the connections of the table. Pods of the proxy, cache, queue, pooler and database can
also open only those connections. Pods that run the user's image can open every connection, unless
``spec.network`` is stricter: their code is not known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.workload import Network
from fastapi_operator.parts import METRICS, Part
from fastapi_operator.platforms import DNS_PORTS, MESHES, METADATA_ADDRESSES, Mesh
from fastapi_operator.resources import cloudnativepg, objects, worker_scaling
from fastapi_operator.resources.access import access, migrators_access
from fastapi_operator.resources.connections import direct_port, direct_section
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs

# The way of a request; the connections of these parts come first in the table.
_REQUEST_PATH = (Part.PROXY, Part.APP, Part.CANARY)

# Every address except the one from which a cloud serves the node's own credentials. Pods have a
# rule of their own, because some network plugins do not match pods by address.
_ANYWHERE: dict[str, Any] = {
    "to": [
        {"namespaceSelector": {}},
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": [METADATA_ADDRESSES[0]]}},
        {"ipBlock": {"cidr": "::/0", "except": [METADATA_ADDRESSES[1]]}},
    ]
}


@dataclass(frozen=True)
class Flow:
    """An allowed connection.

    Attributes:
        source: The part whose pods open it; None is any client that reaches the pod.
        target: The part whose pods accept it; None is a server outside of the service.
        port: The port of the target; None if a Secret holds it.
        entry: Whether clients of the service use it.
    """

    source: Part | None
    target: Part | None
    port: int | None
    entry: bool = False


def flows(inputs: Inputs) -> tuple[Flow, ...]:
    """Returns the allowed connections of one service."""
    others = (part for part in Part if part not in _REQUEST_PATH)
    found = (
        *(flow for part in _REQUEST_PATH for flow in _from_clients(inputs, part)),
        # Prometheus runs in a namespace that the operator does not know.
        *(Flow(None, part, port) for part, port in metrics_ports(inputs).items()),
        *(flow for part in others for flow in _from_clients(inputs, part)),
        *_to_other_databases(inputs),
        *_past_the_pooler(inputs),
    )
    return tuple(dict.fromkeys(found))


def metrics_ports(inputs: Inputs) -> dict[Part, int]:
    """Returns the port of each part that has metrics."""
    ports = {}
    if inputs.metrics_port is not None:
        for part in (Part.APP, Part.CANARY):
            if inputs.has_pods(part):
                ports[part] = inputs.metrics_port
    for part in Part:
        exporter = part.record.exporter
        if part is Part.PROXY and inputs.proxied_by_caddy:
            # Caddy has metrics of its own.
            ports[part] = part.record.ports["private"]
        elif part is Part.PROXY and inputs.counts_requests:
            ports[part] = part.record.ports[METRICS]
        elif exporter and inputs.has_exporters and _is_isolated(inputs, part):
            ports[part] = exporter.port
    return ports


def _from_clients(inputs: Inputs, part: Part) -> Iterator[Flow]:
    if inputs.has_pods(part):
        for port in _client_ports(inputs, part):
            for client in _clients(inputs, part):
                yield Flow(client, part, port, entry=client is None)


def _clients(inputs: Inputs, part: Part) -> Iterator[Part | None]:
    """Yields the parts that connect to a part; None is a client of the service."""
    for client in part.record.clients:
        if client is None or inputs.has_pods(client):
            yield client
        elif not client.record.runs_app_image:
            # Without a proxy or a pooler, the clients of that part connect themselves.
            yield from _clients(inputs, client)


def _client_ports(inputs: Inputs, part: Part) -> tuple[int, ...]:
    if part in (Part.APP, Part.CANARY):
        return (inputs.app_port,)
    if part is Part.PROXY:
        tls = (part.record.ports["https"],) if inputs.terminates_tls else ()
        return (part.port, *tls, *(entry.port for entry in inputs.plan.entries))
    return (part.port,) if part.record.ports else ()


def _to_other_databases(inputs: Inputs) -> Iterator[Flow]:
    if inputs.plan.database is None or inputs.runs_database:
        return
    for client in _clients(inputs, Part.DATABASE):
        if inputs.runs_cluster:
            yield Flow(client, Part.DATABASE, Part.DATABASE.port)
            continue
        server = migrators_access(inputs) if client is Part.MIGRATION else access(inputs)
        assert server is not None, "a database outside of the service has an address"
        yield Flow(client, None, server.port)


def _past_the_pooler(inputs: Inputs) -> Iterator[Flow]:
    """Yields the connections of DATABASE_DIRECT_URL that no other flow allows."""
    direct = direct_section(inputs.spec)
    if direct is None or inputs.plan.database is None:
        return
    own = set(_clients(inputs, Part.DATABASE))
    for client in (part for part in Part if _runs_image(part) and inputs.has_pods(part)):
        if inputs.runs_database:
            if client not in own:
                yield Flow(client, Part.DATABASE, Part.DATABASE.port)
        else:
            yield Flow(client, None, direct_port(inputs))


def _runs_image(part: Part) -> bool:
    return part.record.runs_app_image and not part.record.isolated


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds a policy for each part that has pods; none if the spec disables them."""
    if (inputs.spec.network or Network()).policies == "Disabled":
        return ()
    table = flows(inputs)
    return tuple(_policy(inputs, part, table) for part in Part if _is_isolated(inputs, part))


def _is_isolated(inputs: Inputs, part: Part) -> bool:
    """Whether a part has pods: those of the operator, or the instances of a Cluster."""
    return inputs.has_pods(part) or (part is Part.DATABASE and inputs.runs_cluster)


def _policy(inputs: Inputs, part: Part, table: tuple[Flow, ...]) -> Desired:
    accepted = [_ingress(inputs, flow) for flow in table if flow.target is part]
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": naming.selector(inputs.name, part)},
        "policyTypes": ["Ingress"],
        "ingress": [
            *accepted,
            *_from_keda(inputs, part),
            *_from_cloud_native_pg(inputs, part),
            *_from_meshes(inputs, part),
        ],
    }
    egress = _all_egress(inputs, part, table)
    if egress is not None:
        spec |= {"policyTypes": ["Ingress", "Egress"], "egress": egress}
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": objects.metadata(inputs, Part.NETWORK, inputs.child(part.value)),
        "spec": spec,
    }
    return Desired(Part.NETWORK, body)


def _all_egress(inputs: Inputs, part: Part, table: tuple[Flow, ...]) -> list[dict[str, Any]] | None:
    """Returns the rules for the connections that a part opens; None permits all of them.

    A rule for all addresses would permit less: network plugins such as Cilium match neither nodes
    nor pods by address.
    """
    if part.record.isolated:
        return []
    if part is Part.DATABASE and inputs.runs_cluster:
        # The API server and stores of backups, whose addresses are not known.
        return None
    outgoing = [_egress(inputs, flow) for flow in table if flow.source is part]
    if not part.record.runs_app_image:
        # A pod that opens no connection needs no DNS either.
        return [_dns(), *outgoing, *_to_meshes(inputs, part)] if outgoing else []
    network = inputs.spec.network or Network()
    if network.egress != "Restricted":
        return None
    own = (dict(rule) for rule in network.egress_to or ())
    return [_dns(), *outgoing, *_to_meshes(inputs, part), *own]


def _ingress(inputs: Inputs, flow: Flow) -> dict[str, Any]:
    # A tunnel leads to every port of the pod: readers of metrics do not get it.
    tunnels = _tunnel_ports(inputs, flow.target) if flow.entry or flow.source else ()
    rule: dict[str, Any] = {"ports": [_tcp(port) for port in (flow.port, *tunnels)]}
    peers = (inputs.spec.network or Network()).ingress_from
    for item in inputs.plan.entries:
        if flow.target is Part.PROXY and flow.port == item.port:
            peers = item.entry.ingress_from or peers
    if flow.entry and peers:
        rule["from"] = [dict(peer) for peer in peers]
    if flow.source is not None:
        rule["from"] = [_pods(inputs, flow.source)]
    return rule


def _egress(inputs: Inputs, flow: Flow) -> dict[str, Any]:
    rule = _ANYWHERE if flow.target is None else {"to": [_pods(inputs, flow.target)]}
    ports = (flow.port, *_tunnel_ports(inputs, flow.target))
    return {**rule, "ports": [_tcp(port) for port in ports]}


def _meshes(inputs: Inputs, part: Part | None) -> Iterator[Mesh]:
    """Yields the meshes of the cluster, if the pods of the part may be in them."""
    if part is not None and part.record.meshed:
        yield from (mesh for mesh in MESHES if inputs.facts.offers(mesh.api))


def _tunnel_ports(inputs: Inputs, part: Part | None) -> tuple[int, ...]:
    return tuple(mesh.tunnel_port for mesh in _meshes(inputs, part))


def _from_meshes(inputs: Inputs, part: Part) -> Iterator[dict[str, Any]]:
    """Yields the rules for the probes that a mesh passes on from an address of its own."""
    for mesh in _meshes(inputs, part):
        if mesh.probe_addresses:
            yield {"from": [{"ipBlock": {"cidr": cidr}} for cidr in mesh.probe_addresses]}


def _from_keda(inputs: Inputs, part: Part) -> Iterator[dict[str, Any]]:
    """Yields the rule for KEDA, which counts waiting tasks from a namespace of its own."""
    if part is Part.QUEUE and worker_scaling.reads_queue(inputs):
        peer = {"namespaceSelector": {}, "podSelector": {"matchLabels": worker_scaling.KEDA_LABELS}}
        yield {"ports": [_tcp(part.port)], "from": [peer]}


def _from_cloud_native_pg(inputs: Inputs, part: Part) -> Iterator[dict[str, Any]]:
    """Yields the rules for the replication of a Cluster, and for its operator."""
    if part is Part.DATABASE and inputs.runs_cluster:
        ports = [_tcp(part.port), _tcp(cloudnativepg.STATUS_PORT)]
        cluster = {cloudnativepg.CLUSTER_LABEL: inputs.name_of(part)}
        yield {"ports": ports, "from": [{"podSelector": {"matchLabels": cluster}}]}
        peer = {"matchLabels": cloudnativepg.OPERATOR_LABELS}
        yield {"ports": ports, "from": [{"namespaceSelector": {}, "podSelector": peer}]}


def _to_meshes(inputs: Inputs, part: Part) -> Iterator[dict[str, Any]]:
    """Yields the rules for the connections of a sidecar to its control plane."""
    for mesh in _meshes(inputs, part):
        name = {"kubernetes.io/metadata.name": mesh.namespace}
        yield {
            "to": [{"namespaceSelector": {"matchLabels": name}}],
            "ports": [_tcp(port) for port in mesh.control_ports],
        }


def _tcp(port: int | None) -> dict[str, Any]:
    # Without a number it is every TCP port.
    return {"protocol": "TCP", **({"port": port} if port is not None else {})}


def _dns() -> dict[str, Any]:
    # To every address: a node-local DNS cache has an address of its own.
    ports = [{"protocol": kind, "port": port} for port in DNS_PORTS for kind in ("UDP", "TCP")]
    return {"ports": ports}


def _pods(inputs: Inputs, part: Part) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": naming.selector(inputs.name, part)}}
