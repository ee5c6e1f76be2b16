"""The generated files of both charts, and the definition that one of them brings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi_operator.api import reference
from fastapi_operator.api.crd import crd, structural_schema
from fastapi_operator.api.service import Spec
from fastapi_operator.observability.dashboards import DASHBOARDS
from fastapi_operator.settings import Settings
from manifests.generate import documents, rbac, values

_OPERATOR = "charts/fastapi-operator"
_SERVICE = "charts/fastapi-service"


def files(root: Path) -> Mapping[str, str]:
    """Every generated file of the charts, by path."""
    definition = documents.heading("operator/fastapi_operator/api") + documents.dump([crd()])
    operator_values = values.read((root / _OPERATOR / "values.yaml").read_text())
    service_values = values.read((root / _SERVICE / "values.yaml").read_text())
    return {
        "manifests/crds/fastapiservices.yaml": definition,
        f"{_OPERATOR}/files/fastapiservices.yaml": definition,
        f"{_OPERATOR}/files/rbac.yaml": documents.heading("manifests/generate/rbac.py")
        + documents.dump([rbac.rules()]),
        f"{_OPERATOR}/values.schema.json": _json(
            values.schema(
                operator_values,
                title="fastapi-operator",
                known=settings_schemas(),
            )
        ),
        f"{_OPERATOR}/README.md": _readme(root, _OPERATOR, values.table(operator_values)),
        f"{_SERVICE}/values.schema.json": _json(service_schema(service_values)),
        f"{_SERVICE}/README.md": _readme(
            root, _SERVICE, values.table(service_values) + _spec_table()
        ),
        **{
            f"{_OPERATOR}/files/dashboards/{dashboard.name}.json": _json(dashboard.model())
            for dashboard in DASHBOARDS
        },
    }


def settings_schemas() -> dict[str, dict[str, Any]]:
    """The operator's settings as values: profiles apart, and without what has its own value."""
    schema = Settings.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs")
    inlined: dict[str, Any] = _inlined(schema, definitions)
    # watchNamespaces decides on roles as well, so it stands at the top of the values.
    del inlined["properties"]["watchNamespaces"]
    profiles = inlined["properties"].pop("profiles")
    return {"settings": inlined, "profiles": profiles}


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema without references, titles and defaults; values.yaml shows the defaults."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = target | {key: value for key, value in node.items() if key != "$ref"}
    dropped = {"default"} | ({"title"} if isinstance(node.get("title"), str) else set())
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        # Helm merges values into the defaults, so that no key has to be given.
        dropped.add("required")
    return {key: _inlined(value, definitions) for key, value in node.items() if key not in dropped}


def service_schema(chart_values: list[values.Value]) -> dict[str, Any]:
    """The schema of the service chart: its own values beside every field of ``spec``.

    Raises:
        ValueError: A value of the chart has the name of a field of ``spec``.
    """
    schema = values.schema(chart_values, title="fastapi-service", known={})
    spec = reference.closed(structural_schema(Spec))
    clash = schema["properties"].keys() & spec["properties"].keys()
    if clash:
        raise ValueError(f"{_SERVICE}/values.yaml: {min(clash)} is a field of spec already")
    schema["properties"] |= spec["properties"]
    return schema


def _spec_table() -> str:
    rows = ["", "Every other value is a field of `spec`, and none has a default here:", ""]
    rows += ["| value | meaning |", "| --- | --- |"]
    for name, node in structural_schema(Spec)["properties"].items():
        rows.append(f"| `{name}` | {node['description'].replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def _readme(root: Path, chart: str, table: str) -> str:
    """README.md: the hand-written README.md.in with the table of values in its place."""
    text = (root / chart / "README.md.in").read_text()
    note = "<!-- Generated from README.md.in and values.yaml: python -m manifests.generate -->\n"
    return note + text.replace("{{ values }}\n", table)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
