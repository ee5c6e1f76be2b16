"""The CustomResourceDefinition, generated from the models.

Pydantic's JSON Schema is converted to a structural schema: references are inlined, ``null`` types
are removed (absent and null mean the same), titles and examples are left out, and each rule is
added to its section.
"""

import copy
from typing import Any

from pydantic import BaseModel

from fastapi_operator import naming
from fastapi_operator.api.rules import RULES
from fastapi_operator.api.service import Spec
from fastapi_operator.api.status import Status

_DROPPED = ("title", "default", "examples", "additionalProperties")


def crd() -> dict[str, Any]:
    """Returns the CustomResourceDefinition of FastAPIService."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{naming.PLURAL}.{naming.GROUP}"},
        "spec": {
            "group": naming.GROUP,
            "names": {
                "kind": naming.KIND,
                "listKind": f"{naming.KIND}List",
                "plural": naming.PLURAL,
                "singular": "fastapiservice",
                "shortNames": ["fas"],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": naming.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.scaling.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": _printer_columns(),
                    "schema": {"openAPIV3Schema": object_schema()},
                }
            ],
        },
    }


def object_schema() -> dict[str, Any]:
    """Returns the structural schema of the whole object."""
    spec = structural_schema(Spec)
    status = structural_schema(Status)
    # The only default. Without it kstatus, which compares generations, would consider a new object
    # reconciled.
    status["default"] = {"observedGeneration": -1}
    root = {
        "type": "object",
        "description": "A FastAPI application with its database, cache, queue and proxy.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "fastapi-operator.io/v1alpha1."},
            "kind": {"type": "string", "description": "FastAPIService."},
            # A schema may restrict only the name and generateName in metadata.
            "metadata": {
                "type": "object",
                "properties": {
                    "name": {
                        "type": "string",
                        "description": "Name of the service, and prefix of its objects' names.",
                        "maxLength": naming.NAME_MAX_LENGTH,
                        "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$",
                    }
                },
            },
            "spec": spec
            | {
                "description": "Desired state of the service. The operator derives every field "
                "that is absent."
            },
            "status": status | {"description": "Observed state of the service."},
        },
    }
    for rule in RULES:
        section: dict[str, Any] = root
        for name in rule.path.split("."):
            section = section["properties"][name.removesuffix("[]")]
            section = section["items"] if name.endswith("[]") else section
        section.setdefault("x-kubernetes-validations", []).append(
            {
                "rule": rule.expression,
                "message": rule.message,
                "fieldPath": f".{rule.field}",
            }
        )
    return root


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Returns the structural schema of a model.

    Raises:
        ValueError: A structural schema cannot express the model, for example a union.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    definitions = schema.pop("$defs", {})
    return _convert(schema, definitions, model.__name__)


def _convert(node: dict[str, Any], definitions: dict[str, Any], path: str) -> dict[str, Any]:
    node = _resolve(node, definitions)
    if node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields"):
        return {key: value for key, value in node.items() if key not in _DROPPED}
    if "anyOf" in node:
        raise ValueError(f"{path}: a union cannot be expressed; use sibling fields and a rule")
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in result:
        result["enum"] = [result.pop("const")]
        result["type"] = "string"
    if "properties" in node:
        result["properties"] = {
            name: _convert(child, definitions, f"{path}.{name}")
            for name, child in node["properties"].items()
        }
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _convert(
            node["additionalProperties"], definitions, f"{path}.*"
        )
        if keys := result.pop("propertyNames", {}).get("enum"):
            listed = ", ".join(f"'{key}'" for key in keys)
            result["x-kubernetes-validations"] = [
                {
                    "rule": f"self.all(key, key in [{listed}])",
                    "message": f"each key must be one of {', '.join(keys)}",
                }
            ]
    elif "patternProperties" in node:
        ((pattern, value),) = result.pop("patternProperties").items()
        result["additionalProperties"] = _convert(value, definitions, f"{path}.*")
        # A structural schema cannot restrict keys, so a CEL rule does.
        longest = result.pop("propertyNames")["maxLength"]
        result["x-kubernetes-validations"] = [
            {
                "rule": f"self.all(key, key.matches(r'{pattern}') && size(key) <= {longest})",
                "message": f"each key must match {pattern} and have at most {longest} characters",
            }
        ]
    if "items" in node:
        result["items"] = _convert(node["items"], definitions, f"{path}[]")
    if "type" not in result:
        raise ValueError(f"{path}: has no type")
    return result


def _resolve(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Returns a node with its reference inlined and its ``null`` type removed."""
    node = copy.deepcopy(node)
    arms = [arm for arm in node.get("anyOf", ()) if arm != {"type": "null"}]
    if len(arms) == 1:
        del node["anyOf"]
        node = _resolve(arms[0], definitions) | node
    if "$ref" in node:
        target = definitions[node.pop("$ref").rpartition("/")[2]]
        node = _resolve(target, definitions) | node
    return node


def _printer_columns() -> list[dict[str, Any]]:
    return [
        {
            "name": "Ready",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
        },
        {
            "name": "Reason",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
        },
        {"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas"},
        {
            "name": "Workers",
            "type": "string",
            "jsonPath": '.status.tuning[?(@.name=="server.workers")].value',
        },
        {"name": "URL", "type": "string", "jsonPath": ".status.url"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
