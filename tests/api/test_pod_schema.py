"""The types of a pod's pieces are those of a real API server.

``UPDATE_GOLDEN=1`` writes them from the server's OpenAPI document.
"""

import json
import os
from pathlib import Path
from typing import Any

from fastapi_operator.api import pod_pieces
from tests.api.kube import Kube
from tests.cluster.apiserver import ApiServer

_FILE = Path(pod_pieces.__file__).parent / "pod_schema.json"
_ROOTS = ("PodTemplateSpec", "NetworkPolicyEgressRule", "NetworkPolicyPeer")
_SCALARS = {"IntOrString": "intOrString", "Quantity": "quantity", "Time": "time"}
_OPEN = "any"


def test_the_types_are_those_of_the_api_server(server: ApiServer) -> None:
    kube = Kube(server.kubeconfig)
    documents = [
        kube.request("GET", f"/openapi/v3/{path}")["components"]["schemas"]
        for path in ("api/v1", "apis/networking.k8s.io/v1")
    ]
    schemas = {
        name.rpartition(".")[2]: schema for found in documents for name, schema in found.items()
    }
    types: dict[str, dict[str, str]] = {}
    missing = list(_ROOTS)
    while missing:
        name = missing.pop()
        if name in types:
            continue
        required = schemas[name].get("required", ())
        types[name] = {
            field: _type(node, missing) + ("!" if field in required else "")
            for field, node in sorted(schemas[name].get("properties", {}).items())
        }
    text = json.dumps(types, indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        _FILE.write_text(text)
    assert _FILE.read_text() == text, "run it again with UPDATE_GOLDEN=1"


def _type(node: dict[str, Any], missing: list[str]) -> str:
    for candidate in node.get("allOf", [node]):
        if "$ref" in candidate:
            name: str = candidate["$ref"].rpartition(".")[2]
            if name in _SCALARS:
                return _SCALARS[name]
            missing.append(name)
            return name
    if "items" in node:
        key = node.get("x-kubernetes-patch-merge-key")
        return f"[{_type(node['items'], missing)}{f'#{key}' if key else ''}]"
    if "additionalProperties" in node:
        return f"{{{_type(node['additionalProperties'], missing)}}}"
    kind: str = node.get("format") if node.get("type") == "integer" else node.get("type", _OPEN)
    return _OPEN if kind == "object" else kind
