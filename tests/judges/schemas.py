"""The schemas for kubeconform: those of each kind, without unknown fields."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi_operator.api.crd import crd
from tests.judges import modules

_PREFIX = "#/definitions/"
# Fields that every object has, and that a CRD therefore omits.
_META = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"$ref": f"{_PREFIX}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
}


def write(into: Path) -> str:
    """Writes a schema for each kind; returns kubeconform's template of their paths."""
    for group, version, kind, schema in (*_built_in(), *_custom()):
        text = json.dumps(schema | {"definitions": _reached(schema)})
        # If a kind has no group, kubeconform uses the version in its place.
        (into / f"{kind.lower()}-{group or version}-{version}.json").write_text(text)
    return f"{into}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json"


def _built_in() -> Iterator[tuple[str, str, str, Any]]:
    for schema in _definitions().values():
        for key in schema.get("x-kubernetes-group-version-kind", ()):
            yield key["group"], key["version"], key["kind"], schema


def _custom() -> Iterator[tuple[str, str, str, Any]]:
    for body in (crd(), *(b for name in modules.DEFINITIONS for b in modules.definitions(name))):
        spec = body["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            whole = _closed(schema | {"properties": schema["properties"] | _META})
            yield spec["group"], version["name"], spec["names"]["kind"], whole


@functools.cache
def _definitions() -> dict[str, Any]:
    source = modules.folder(modules.KUBERNETES) / "api/openapi-spec/swagger.json"
    closed: dict[str, Any] = _closed(json.loads(source.read_text())["definitions"])
    # Also accepts a number, which the type in the definition does not show.
    for name in ("api.resource.Quantity", "util.intstr.IntOrString"):
        closed[f"io.k8s.apimachinery.pkg.{name}"] = {"type": ["string", "number"]}
    # A definition is judged by its own rules when it is installed; its schema recurs.
    closed["io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"] = {}
    return closed


def _closed(node: Any) -> Any:
    """A schema that admits the properties which it names, and no other."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: _closed(value) for key, value in node.items()}
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get(
        "x-kubernetes-embedded-resource"
    ):
        return schema
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    return schema


def _reached(schema: Any) -> dict[str, Any]:
    """The definitions that a schema refers to, and those that they do."""
    found: dict[str, Any] = {}
    open_names = list(_references(schema))
    while open_names:
        name = open_names.pop()
        if name not in found:
            found[name] = _definitions()[name]
            open_names += _references(found[name])
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(_PREFIX)
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
