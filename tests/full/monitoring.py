"""The monitoring of a platform: the Prometheus operator and kube-state-metrics.

Both are built from their Go modules and installed by their own manifests; Prometheus is Debian's.
Their programs reach the pods through a folder of the machine, since no registry has images of them.
"""

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.cluster.node import Node
from tests.judges import modules, programs
from tests.kubectl import Kubectl, eventually

NAMESPACE = "monitoring"
_BUNDLE = modules.folder(modules.PROMETHEUS) / "bundle.yaml"
_RIGHTS = (
    modules.folder(modules.PROMETHEUS) / "example/rbac/prometheus/prometheus-cluster-role.yaml"
)
_KUBE_STATE = modules.folder(modules.KUBE_STATE) / "examples/standard"
_MONITORING = "monitoring.coreos.com/v1"
_PROGRAMS: dict[str, Any] = {"name": "programs", "mountPath": "/programs", "readOnly": True}


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus, queried through its API."""

    address: str

    def get(self, path: str, **parameters: str) -> Any:
        """Returns the data of a response.

        Raises:
            urllib.error.HTTPError: The query is wrong.
        """
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def now(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def samples(self, expression: str, since: float, until: float) -> int:
        """Returns how many values a query has between two times, every 15 s."""
        answer = self.get(
            "query_range", query=expression, start=str(since), end=str(until), step="15"
        )
        values = (value for series in answer["result"] for _, value in series["values"])
        return sum(value != "NaN" for value in values)

    def selectors(self, expression: str) -> Iterator[str]:
        """The selectors of a query, as Prometheus itself reads them."""
        yield from _selectors(self.get("parse_query", query=expression))


def _selectors(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for one in part:
            yield from _selectors(one)
    elif isinstance(part, dict):
        if part.get("type") in ("vectorSelector", "matrixSelector"):
            matchers = (
                f"{one['name']}{one['type']}{json.dumps(one['value'])}" for one in part["matchers"]
            )
            yield "{" + ", ".join(matchers) + "}"
        else:
            yield from _selectors(list(part.values()))


def install(node: Node, kubectl: Kubectl) -> Prometheus:
    """Installs all parts, and waits until Prometheus is ready."""
    folder = str(programs.program("operator", of="monitoring").parent)
    image = node.image("prometheus")
    reloader = f"--prometheus-config-reloader={image}"
    for path in (_BUNDLE, _RIGHTS, _KUBE_STATE):
        files = ("-k" if path.is_dir() else "-f", str(path))
        kubectl("apply", "--server-side", *files)
    for name, namespace, program, arguments in (
        (
            *("prometheus-operator", "default", "operator"),
            ["--kubelet-service=kube-system/kubelet", "--kubelet-endpoints=true", reloader],
        ),
        ("kube-state-metrics", "kube-system", "kube-state-metrics", []),
    ):
        container = {
            "name": name,
            "image": image,
            "command": [f"/programs/{program}"],
            "args": arguments,
            "volumeMounts": [_PROGRAMS],
        }
        pod = {"containers": [container], "volumes": [_volume(folder)]}
        patch = json.dumps({"spec": {"template": {"spec": pod}}})
        kubectl("patch", "deployment", name, "-n", namespace, "-p", patch)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kubectl.apply(*_objects(image, folder))

    def pod() -> str:
        found = kubectl.json("get", "pod", "prometheus-all-0", "-n", NAMESPACE)["status"]
        ready = {one["type"] for one in found.get("conditions", ()) if one["status"] == "True"}
        return str(found["podIP"]) if "Ready" in ready else ""

    address = eventually(pod, seconds=150, what="Prometheus ready", pause=2)
    return Prometheus(f"http://{address}:9090")


def remove(kubectl: Kubectl) -> None:
    """Removes objects that other tests do not expect; its namespace is deleted with the others."""
    for path in (_BUNDLE, _KUBE_STATE):
        files = ("-k" if path.is_dir() else "-f", str(path))
        kubectl("delete", "--ignore-not-found", "--wait=false", *files)


def _volume(folder: str) -> dict[str, Any]:
    return {"name": "programs", "hostPath": {"path": folder, "type": "Directory"}}


def _objects(image: str, folder: str) -> Iterator[dict[str, Any]]:
    """Returns Prometheus, which selects every monitor and rule of the cluster, and its rights."""
    here = {"name": "prometheus", "namespace": NAMESPACE}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here}
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "prometheus"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "prometheus",
        },
        "subjects": [{"kind": "ServiceAccount", **here}],
    }
    every = {
        f"{kind}{what}": {}
        for kind in ("serviceMonitor", "podMonitor", "rule")
        for what in ("Selector", "NamespaceSelector")
    }
    reloader = {
        "command": ["/programs/prometheus-config-reloader"],
        "volumeMounts": [_PROGRAMS],
    }
    yield {
        "apiVersion": _MONITORING,
        "kind": "Prometheus",
        "metadata": {"name": "all", "namespace": NAMESPACE},
        "spec": {
            "image": image,
            "version": "v3.5.0",
            "serviceAccountName": "prometheus",
            "scrapeInterval": "5s",
            "evaluationInterval": "5s",
            "volumes": [_volume(folder)],
            "containers": [{"name": "config-reloader", **reloader}],
            "initContainers": [{"name": "init-config-reloader", **reloader}],
            **every,
        },
    }
    # The kubelet's own metrics, its containers' and its volumes', as usual installations have them.
    secure = {
        "port": "https-metrics",
        "scheme": "https",
        "honorLabels": True,
        "bearerTokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "tlsConfig": {"insecureSkipVerify": True},
    }
    yield _monitor(
        "kubelet",
        {"app.kubernetes.io/name": "kubelet"},
        [{**secure, "path": path} for path in ("/metrics", "/metrics/cadvisor")],
    )
    yield _monitor(
        "kube-state-metrics",
        {"app.kubernetes.io/name": "kube-state-metrics"},
        [{"port": "http-metrics", "honorLabels": True}],
    )


def _monitor(name: str, labels: dict[str, str], endpoints: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": _MONITORING,
        "kind": "ServiceMonitor",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "namespaceSelector": {"matchNames": ["kube-system"]},
            "selector": {"matchLabels": labels},
            "endpoints": endpoints,
        },
    }
