"""Generates the JSON Schema of a service, for editors, and its entry in the schema store."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_URL = "https://raw.githubusercontent.com/fastapi-operator/fastapi-operator/main/"
_SCHEMA = "manifests/editor/fastapiservice.schema.json"


def files(root: Path) -> Mapping[str, str]:
    """Returns the schema and the entry, by path."""
    crd = yaml.safe_load((root / "manifests/crds/fastapiservices.yaml").read_text())
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    version = crd["spec"]["versions"][0]
    schema = _plain(version["schema"]["openAPIV3Schema"])
    schema["properties"].pop("status")
    schema["properties"]["apiVersion"] = {"const": f"{group}/{version['name']}"}
    schema["properties"]["kind"] = {"const": kind}
    schema["required"] = sorted({*schema["required"], "apiVersion", "kind", "metadata"})
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": f"{_URL}{_SCHEMA}",
        "title": kind,
        **schema,
    }
    entry = {
        "name": f"{kind} of FastAPI Operator",
        "description": "A FastAPI application with all that it needs under heavy traffic",
        "fileMatch": ["*.fastapiservice.yaml", "*.fastapiservice.yml", "fastapiservice.yaml"],
        "url": f"{_URL}{_SCHEMA}",
    }
    return {
        _SCHEMA: json.dumps(whole, indent=1, ensure_ascii=False) + "\n",
        "manifests/editor/schemastore.json": json.dumps(entry, indent=2) + "\n",
    }


def _plain(schema: Any) -> Any:
    """Returns a schema of Kubernetes as JSON Schema, where unknown fields are errors."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if not key.startswith("x-kube")}
    if schema.get("x-kubernetes-int-or-string"):
        plain["type"] = ["integer", "string"]
    open_ = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict) and not open_:
        plain["additionalProperties"] = False
    return plain
