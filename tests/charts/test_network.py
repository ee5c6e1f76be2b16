"""NetworkPolicies as rendered, evaluated by Cyclonus: only required flows are permitted.

The bridge network of the tests' node enforces no policy, so an engine that knows their semantics
reads them instead. The flows below are written by hand, not taken from the builder's own table.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastapi_operator import naming
from fastapi_operator.parts import METRICS, Part
from fastapi_operator.platforms import DNS_PORTS
from tests.charts.conftest import OPERATOR, Helm
from tests.golden.cases import load
from tests.judges import programs

NAMESPACE, SERVICE = "team-a", "shop"
INTERNET, METADATA = "203.0.113.9", "169.254.169.254"


class Peer(NamedTuple):
    """One end of a connection.

    Attributes:
        address: Its address.
        labels: Labels of the pod; None outside of the cluster.
        namespace: Its namespace.
    """

    address: str
    labels: dict[str, str] | None = None
    namespace: str = NAMESPACE


def part(of: Part, *, namespace: str = NAMESPACE) -> Peer:
    """A pod of a part; in another namespace one that carries the same labels."""
    return Peer("10.1.0.2", naming.selector(SERVICE, of), namespace)


def pod_in(namespace: str) -> Peer:
    """A pod in the namespace of a control plane."""
    return Peer("10.1.0.6", {"app": "control-plane"}, namespace)


STRANGER = Peer("10.1.0.3", {"app": "other"})
NEIGHBOUR = Peer("10.1.0.4", {"app": "gateway"}, "gateways")
PROMETHEUS = Peer("10.1.0.5", {"app": "prometheus"}, "monitoring")
OUTSIDE, CLOUD = Peer(INTERNET), Peer(METADATA)
APP, PROXY, POOLER = part(Part.APP), part(Part.PROXY), part(Part.POOLER)
CACHE, DATABASE, MIGRATION = part(Part.CACHE), part(Part.DATABASE), part(Part.MIGRATION)
CANARY = part(Part.CANARY)
QUEUE, WORKER, REPORT = part(Part.QUEUE), part(Part.BACKGROUND), part(Part.SCHEDULES)
BACKUP = part(Part.BACKUP)

# An instance of CloudNativePG, the pod that creates one, and CloudNativePG itself.
OF_CLUSTER = {"cnpg.io/cluster": "shop-postgres"}
INSTANCE = Peer("10.1.0.2", naming.selector(SERVICE, Part.DATABASE) | OF_CLUSTER)
JOIN = Peer("10.1.0.8", OF_CLUSTER | {"cnpg.io/jobRole": "join"})
OTHER_CLUSTER = Peer("10.1.0.9", {"cnpg.io/cluster": "other"})
CNPG = Peer("10.1.0.10", {"app.kubernetes.io/name": "cloudnative-pg"}, "cnpg-system")

Flows = tuple[tuple[Peer, Peer, int], ...]
# case: flows that must be permitted, and flows that must not
EXPECTED: dict[str, tuple[Flows, Flows]] = {
    "quota": (
        (
            (OUTSIDE, PROXY, 8080),
            (NEIGHBOUR, PROXY, 8080),
            (PROXY, APP, 8000),
            (PROMETHEUS, APP, 9000),
            (PROMETHEUS, DATABASE, 9187),
            (PROMETHEUS, CACHE, 9121),
            *((user, POOLER, 5432) for user in (APP, WORKER, REPORT)),
            *(
                (user, store, 6379)
                for user in (APP, WORKER, REPORT, MIGRATION)
                for store in (CACHE, QUEUE)
            ),
            (POOLER, DATABASE, 5432),
            (MIGRATION, DATABASE, 5432),
            (BACKUP, DATABASE, 5432),
            (APP, OUTSIDE, 443),
            (WORKER, NEIGHBOUR, 8080),
            (MIGRATION, OUTSIDE, 443),
            # An identity system of a cloud.
            *((user, CLOUD, 80) for user in (APP, WORKER, REPORT, MIGRATION)),
        ),
        (
            (OUTSIDE, APP, 8000),
            (STRANGER, APP, 8000),
            # Probes come from the node; profiles are on loopback.
            *((who, APP, port) for who in (PROMETHEUS, PROXY, STRANGER) for port in (9001, 9002)),
            (PROMETHEUS, PROXY, 8443),
            *((who, store, 6379) for who in (STRANGER, PROXY, POOLER) for store in (CACHE, QUEUE)),
            *((who, DATABASE, 5432) for who in (APP, WORKER, REPORT, PROXY, STRANGER, OUTSIDE)),
            *((who, POOLER, 5432) for who in (STRANGER, PROXY, MIGRATION, OUTSIDE)),
            (part(Part.POOLER, namespace="team-b"), DATABASE, 5432),
            (part(Part.PROXY, namespace="team-b"), APP, 8000),
            *((server, OUTSIDE, 443) for server in (PROXY, POOLER, CACHE, QUEUE, DATABASE, BACKUP)),
            (DATABASE, APP, 8000),
            (CACHE, DATABASE, 5432),
            (PROXY, POOLER, 5432),
            *((server, CLOUD, 80) for server in (PROXY, DATABASE, POOLER)),
            (OUTSIDE, WORKER, 8000),
            (STRANGER, BACKUP, 5432),
        ),
    ),
    "network-restricted": (
        (
            (NEIGHBOUR, PROXY, 8080),
            (PROXY, APP, 8000),
            (APP, POOLER, 5432),
            (APP, CACHE, 6379),
            (APP, OUTSIDE, 443),
            (APP, OUTSIDE, 53),
            (APP, Peer("10.2.0.1", {"dns": "default"}, "openshift-dns"), 5353),
        ),
        (
            (OUTSIDE, PROXY, 8080),
            (STRANGER, PROXY, 8080),
            (APP, OUTSIDE, 80),
            (APP, Peer("198.51.100.1"), 443),
            (APP, NEIGHBOUR, 8080),
            (APP, DATABASE, 5432),
            (APP, CLOUD, 80),
        ),
    ),
    "database-external": (
        (
            (POOLER, OUTSIDE, 5432),
            (APP, POOLER, 5432),
            *((POOLER, Peer("10.2.0.1", {"dns": "default"}, "dns"), port) for port in (53, 5353)),
        ),
        ((POOLER, OUTSIDE, 443), (POOLER, CLOUD, 80), (PROXY, OUTSIDE, 5432)),
    ),
    "database-cnpg": (
        (
            (POOLER, INSTANCE, 5432),
            (MIGRATION, INSTANCE, 5432),
            *(
                (source, INSTANCE, port)
                for source in (INSTANCE, JOIN, CNPG)
                for port in (5432, 8000)
            ),
            (PROMETHEUS, INSTANCE, 9187),
            # The API server, and a store of backups.
            (INSTANCE, OUTSIDE, 443),
        ),
        (
            *((who, INSTANCE, 5432) for who in (APP, PROXY, STRANGER, OUTSIDE, NEIGHBOUR)),
            *((who, INSTANCE, 8000) for who in (POOLER, MIGRATION, STRANGER, PROMETHEUS, OUTSIDE)),
            *(
                (who, INSTANCE, 5432)
                for who in (part(Part.POOLER, namespace="team-b"), OTHER_CLUSTER)
            ),
            (POOLER, OUTSIDE, 5432),
            (POOLER, STRANGER, 5432),
        ),
    ),
    "connections": (
        (
            *((user, DATABASE, 5432) for user in (APP, WORKER, MIGRATION, POOLER)),
            *((user, POOLER, 5432) for user in (APP, WORKER)),
            (MIGRATION, CACHE, 6379),
        ),
        (
            *((who, DATABASE, 5432) for who in (PROXY, CACHE, STRANGER, OUTSIDE)),
            (part(Part.APP, namespace="team-b"), DATABASE, 5432),
            (MIGRATION, POOLER, 5432),
        ),
    ),
    "connections-external": (
        tuple((user, OUTSIDE, 5432) for user in (APP, MIGRATION, POOLER)),
        ((APP, OUTSIDE, 443), (APP, CLOUD, 80), (PROXY, OUTSIDE, 5432)),
    ),
    "service-mesh": (
        (
            # Sidecars, and the tunnels of meshes between pods in them.
            *((user, pod_in("istio-system"), 15012) for user in (PROXY, APP)),
            *((user, pod_in("linkerd"), port) for user in (PROXY, APP) for port in (8080, 8086)),
            *((NEIGHBOUR, PROXY, port) for port in (8080, 15008, 4143)),
            *((PROXY, APP, port) for port in (8000, 15008, 4143)),
            # The probes of pods in Istio's ambient mode.
            *((Peer("169.254.7.127"), target, 9001) for target in (APP, PROXY)),
            (PROMETHEUS, APP, 9000),
        ),
        (
            # A tunnel would lead to every port, past the proxy.
            *((who, APP, port) for who in (PROMETHEUS, STRANGER) for port in (15008, 4143)),
            *((user, pod_in("istio-system"), 443) for user in (PROXY, APP)),
            (PROXY, pod_in("elsewhere"), 15012),
            *((APP, target, 15008) for target in (DATABASE, CACHE, POOLER)),
            (Peer("169.254.7.127"), DATABASE, 5432),
            (DATABASE, pod_in("istio-system"), 15012),
        ),
    ),
    "canary": (
        (
            (PROXY, CANARY, 8000),
            *((CANARY, target, port) for target, port in ((POOLER, 5432), (CACHE, 6379))),
            # Prometheus and the operator, which compares both versions.
            *((PROMETHEUS, target, 9000) for target in (APP, CANARY)),
            (PROMETHEUS, PROXY, Part.PROXY.record.ports[METRICS]),
        ),
        (
            (OUTSIDE, CANARY, 8000),
            *((STRANGER, CANARY, port) for port in (8000, 9001, 9002)),
            *((who, CANARY, 8000) for who in (APP, CACHE, DATABASE)),
            (CANARY, DATABASE, 5432),
        ),
    ),
    "no-proxy": (
        ((OUTSIDE, APP, 8000), (PROMETHEUS, APP, 9000)),
        ((OUTSIDE, APP, 22),),
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_only_required_flows_are_permitted(name: str, tmp_path: Path) -> None:
    passes, fails = EXPECTED[name]
    assert not [flow for flow in passes if flow in fails], "a flow cannot be both"
    policies = [dict(item.body) for item in load(name).of_kind("NetworkPolicy")]
    results = _judged(policies, (*passes, *fails), tmp_path)
    wrong = [
        f"{_named(source)} to {_named(target)}:{port} " + ("gets through" if got else "is refused")
        for number, ((source, target, port), got) in enumerate(
            zip((*passes, *fails), results, strict=True)
        )
        if got is not (number < len(passes))
    ]
    assert not wrong, "\n".join(wrong)


def test_open_egress_has_no_rules() -> None:
    # A rule for all addresses would not match nodes and pods with Cilium.
    policies = {item.key.name: item.body["spec"] for item in load("quota").of_kind("NetworkPolicy")}
    for part_of_image in (Part.APP, Part.BACKGROUND, Part.SCHEDULES, Part.MIGRATION):
        spec = policies[f"{SERVICE}-{part_of_image.value}"]
        assert spec["policyTypes"] == ["Ingress"] and "egress" not in spec
    assert policies[f"{SERVICE}-proxy"]["policyTypes"] == ["Ingress", "Egress"]


def test_the_charts_permit_dns_on_the_same_ports() -> None:
    for chart in ("fastapi-operator/templates/networkpolicy", "fastapi-service/templates/test"):
        text = (Path(__file__).parents[2] / f"charts/{chart}.yaml").read_text()
        permitted = set(re.findall(r"- port: (\d+)\s+protocol: (\w+)", text))
        wanted = {(str(port), kind) for port in DNS_PORTS for kind in ("UDP", "TCP")}
        assert wanted <= permitted, chart


def test_without_policies_all_flows_are_permitted(tmp_path: Path) -> None:
    flows = EXPECTED["quota"][1]
    unrelated = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "unrelated", "namespace": "elsewhere"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    assert all(_judged([unrelated], flows, tmp_path))


# The operator's own policy: only the metrics ports of services' pods in watched namespaces.
OPERATOR_POD = Peer(
    "10.1.0.7",
    {"app.kubernetes.io/name": "fastapi-operator", "app.kubernetes.io/instance": "platform"},
    "system",
)
ELSEWHERE = part(Part.APP, namespace="team-b")
READ = tuple(
    (OPERATOR_POD, target, port)
    for target, port in (
        (APP, Part.APP.record.ports[METRICS]),
        (CANARY, Part.APP.record.ports[METRICS]),
        (PROXY, Part.PROXY.record.ports[METRICS]),
        (PROXY, Part.PROXY.record.ports["private"]),
    )
)
NOT_READ = tuple(
    (OPERATOR_POD, target, port)
    for target, port in (
        (APP, 8000),
        (APP, 9002),
        (DATABASE, 5432),
        (STRANGER, 9000),
        (OUTSIDE, 9000),
        (CLOUD, 80),
    )
)


@pytest.mark.parametrize(
    ("values", "passes", "fails"),
    [
        ({}, (*READ, (OPERATOR_POD, ELSEWHERE, 9000)), NOT_READ),
        (
            {"watchNamespaces": [NAMESPACE]},
            READ,
            (*NOT_READ, (OPERATOR_POD, ELSEWHERE, 9000)),
        ),
        ({"settings": {"readMetrics": False}}, (), (*READ, *NOT_READ)),
    ],
    ids=["the cluster", "a namespace", "switched off"],
)
def test_the_operator_connects_to_metrics_ports_only(
    helm: Helm, tmp_path: Path, values: dict[str, Any], passes: Flows, fails: Flows
) -> None:
    policies = [body for body in helm.render(OPERATOR, values) if body["kind"] == "NetworkPolicy"]
    results = _judged(policies, (*passes, *fails), tmp_path)
    assert results == [True] * len(passes) + [False] * len(fails)


def test_pods_of_services_have_the_label_that_the_operators_policy_selects() -> None:
    pods = [
        item.body["spec"]["template"]["metadata"]["labels"]
        for item in load("quota").of_kind("Deployment")
    ]
    assert pods
    assert all(naming.SERVICE_LABEL in labels for labels in pods)
    assert naming.SERVICE_LABEL in (OPERATOR / "templates/networkpolicy.yaml").read_text()


def _judged(policies: list[dict[str, Any]], flows: Flows, folder: Path) -> list[bool]:
    """Returns whether each flow is permitted, from Cyclonus' output."""
    policy, traffic = folder / "policies.json", folder / "traffic.json"
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicyList"}
    policy.write_text(json.dumps({**kind, "items": policies}))
    traffic.write_text(json.dumps([_traffic(*flow) for flow in flows]))
    done = subprocess.run(
        [
            *(programs.program("cyclonus", of="network"), "analyze", "--mode", "query-traffic"),
            *("--policy-path", policy, "--traffic-path", traffic),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"IS ALLOWED\? \|\s+(TRUE|FALSE)", done.stdout)
    assert len(found) == len(flows), done.stdout
    return [answer == "TRUE" for answer in found]


def _traffic(source: Peer, target: Peer, port: int) -> dict[str, Any]:
    ends = {"Source": _end(source), "Destination": _end(target)}
    return {**ends, "Protocol": "TCP", "ResolvedPort": port}


def _end(peer: Peer) -> dict[str, Any]:
    if peer.labels is None:
        return {"IP": peer.address}
    labels = {"kubernetes.io/metadata.name": peer.namespace}
    inside = {"PodLabels": peer.labels, "NamespaceLabels": labels, "Namespace": peer.namespace}
    return {"IP": peer.address, "Internal": inside}


def _named(peer: Peer) -> str:
    labels = peer.labels or {}
    name = labels.get("app.kubernetes.io/component") or labels.get("app") or peer.address
    return f"{peer.namespace}/{name}" if peer.labels else name
