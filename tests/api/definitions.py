"""CustomResourceDefinitions of other projects, with a schema that permits everything."""

from typing import Any

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def definition(group: str, version: str, kind: str, plural: str, **metadata: Any) -> dict[str, Any]:
    """A namespaced kind; ``metadata`` is added to that of its definition."""
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", **metadata},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [served]},
    }


MONITOR_CRD = definition("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
