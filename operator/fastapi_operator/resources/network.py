"""NetworkPolicies, all from one table of who may talk to whom.

Every pod of the service takes only what the table lets in. Pods of proxy, cache, queue, pooler and
database may also open only the connections of the table; whatever runs the user's image, whose
code we do not know, reaches all but the cloud's metadata address, unless ``spec.network`` is
stricter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.workload import Network
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.access import Access, access, migrators_access
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import (
    POOLER_EXPORTER_PORT,
    POOLER_PORT,
    POSTGRES_EXPORTER_PORT,
    POSTGRES_PORT,
    PROXY_EXPORTER_PORT,
    PROXY_PORT,
    PROXY_PRIVATE_PORT,
    PROXY_TLS_PORT,
    REDIS_EXPORTER_PORT,
    REDIS_PORT,
    Inputs,
)
from fastapi_operator.resources.migration import migration_key
from fastapi_operator.tuning.plan import Plan

_DNS_PORT = 53

# The pods that run the user's image: we cannot know whom they call.
_USERS_CODE = (Part.APP, Part.BACKGROUND, Part.SCHEDULES, Part.MIGRATION)

# Everybody but the address where clouds hand out the node's own credentials. Pods are named apart
# from addresses, since some network plugins do not count pods among them.
_ANYWHERE: dict[str, Any] = {
    "to": [
        {"namespaceSelector": {}},
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}},
        {"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::254/128"]}},
    ]
}


@dataclass(frozen=True)
class Flow:
    """A connection that is allowed; ``source`` None is anybody who reaches the pod.

    Attributes:
        source: Whose pods open it.
        target: Whose pods take it; None for a server that is not ours, wherever it is.
        port: The port of the target; None where a Secret says it.
        entry: Whether clients of the service come this way.
    """

    source: Part | None
    target: Part | None
    port: int | None
    entry: bool = False


def flows(inputs: Inputs) -> tuple[Flow, ...]:
    """The table for one service."""
    plan = inputs.plan
    table = []
    if plan.proxy is not None:
        table += [
            Flow(None, Part.PROXY, PROXY_PORT, entry=True),
            Flow(Part.PROXY, Part.APP, inputs.app_port),
        ]
        if inputs.terminates_tls:
            table += [Flow(None, Part.PROXY, PROXY_TLS_PORT, entry=True)]
    else:
        table += [Flow(None, Part.APP, inputs.app_port, entry=True)]
    # Prometheus runs in a namespace that the operator does not know.
    table += [Flow(None, part, port) for part, port in metrics_ports(inputs).items()]
    if plan.cache is not None:
        table += [Flow(part, Part.CACHE, REDIS_PORT) for part in _serving(plan)]
    if plan.queue is not None:
        table += [Flow(part, Part.QUEUE, REDIS_PORT) for part in _serving(plan)]
    return (*table, *_to_the_database(inputs))


def metrics_ports(inputs: Inputs) -> dict[Part, int]:
    """The port of each part that has metrics."""
    plan, ports = inputs.plan, {}
    if inputs.metrics_port is not None:
        ports[Part.APP] = inputs.metrics_port
    if inputs.proxied_by_caddy:
        ports[Part.PROXY] = PROXY_PRIVATE_PORT
    if not plan.observability.exporters.value:
        return ports
    exported = {
        Part.PROXY: (plan.proxy and not inputs.proxied_by_caddy, PROXY_EXPORTER_PORT),
        Part.CACHE: (plan.cache, REDIS_EXPORTER_PORT),
        Part.QUEUE: (plan.queue, REDIS_EXPORTER_PORT),
        Part.POOLER: (plan.pooler, POOLER_EXPORTER_PORT),
        Part.DATABASE: (inputs.runs_database, POSTGRES_EXPORTER_PORT),
    }
    return ports | {part: port for part, (runs, port) in exported.items() if runs}


def _to_the_database(inputs: Inputs) -> Iterator[Flow]:
    if inputs.plan.database is None:
        return
    way, serving = access(inputs), _serving(inputs.plan)
    if inputs.plan.pooler is None:
        yield from (_to_server(part, way) for part in serving)
    else:
        yield from (Flow(part, Part.POOLER, POOLER_PORT) for part in serving)
        yield _to_server(Part.POOLER, way)
    if inputs.plan.backup is not None:
        yield Flow(Part.BACKUP, Part.DATABASE, POSTGRES_PORT)
    if migration_key(inputs.service) is not None:
        yield _to_server(Part.MIGRATION, migrators_access(inputs))


def _to_server(source: Part, way: Access | None) -> Flow:
    if way is None:
        return Flow(source, Part.DATABASE, POSTGRES_PORT)
    return Flow(source, None, way.port)


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """One policy for each part that has pods; none where the spec switches them off."""
    if (inputs.spec.network or Network()).policies == "Disabled":
        return ()
    table = flows(inputs)
    involved = {flow.target for flow in table} | {flow.source for flow in table}
    involved |= set(_serving(inputs.plan))
    return tuple(_policy(inputs, part, table) for part in Part if part in involved)


def _serving(plan: Plan) -> tuple[Part, ...]:
    """The parts that run the released version of the user's image."""
    beside = ((Part.BACKGROUND, plan.background), (Part.SCHEDULES, plan.schedules))
    return (Part.APP, *(part for part, processes in beside if processes))


def _policy(inputs: Inputs, part: Part, table: tuple[Flow, ...]) -> Desired:
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": naming.selector(inputs.name, part)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [_ingress(inputs, flow) for flow in table if flow.target is part],
        "egress": _all_egress(inputs, part, table),
    }
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": objects.metadata(inputs, Part.NETWORK, inputs.child(part.value)),
        "spec": spec,
    }
    return Desired(Part.NETWORK, body)


def _all_egress(inputs: Inputs, part: Part, table: tuple[Flow, ...]) -> list[dict[str, Any]]:
    outgoing = [_egress(inputs, flow) for flow in table if flow.source is part]
    if part not in _USERS_CODE:
        # Who opens no connection needs no names either.
        return [_dns(), *outgoing] if outgoing else []
    network = inputs.spec.network or Network()
    if network.egress != "Restricted":
        return [_ANYWHERE]
    return [_dns(), *outgoing, *(dict(rule) for rule in network.egress_to or ())]


def _ingress(inputs: Inputs, flow: Flow) -> dict[str, Any]:
    rule: dict[str, Any] = {"ports": [{"protocol": "TCP", "port": flow.port}]}
    peers = (inputs.spec.network or Network()).ingress_from
    if flow.entry and peers:
        rule["from"] = [dict(peer) for peer in peers]
    if flow.source is not None:
        rule["from"] = [_pods(inputs, flow.source)]
    return rule


def _egress(inputs: Inputs, flow: Flow) -> dict[str, Any]:
    rule = _ANYWHERE if flow.target is None else {"to": [_pods(inputs, flow.target)]}
    # Without a port every one of TCP.
    port = {"port": flow.port} if flow.port is not None else {}
    return {**rule, "ports": [{"protocol": "TCP", **port}]}


def _dns() -> dict[str, Any]:
    # To anywhere: a node-local cache has an address of its own.
    return {"ports": [{"protocol": protocol, "port": _DNS_PORT} for protocol in ("UDP", "TCP")]}


def _pods(inputs: Inputs, part: Part) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": naming.selector(inputs.name, part)}}
