"""Generates the reference of the resource: Markdown, and JSON Schema for editors."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from fastapi_operator import naming
from fastapi_operator.api.crd import object_schema, structural_schema
from fastapi_operator.api.model import LIST_TYPE, Model, entry_of, fields_of, section_of
from fastapi_operator.api.rules import RULES
from fastapi_operator.api.service import Spec
from fastapi_operator.api.status import Status

_DEFAULT = re.compile(r"\s*Default: (.*)[.]$", re.DOTALL)
_HEAD = (
    "| field | type and bounds | default | meaning | example |\n| --- | --- | --- | --- | --- |\n"
)


@dataclass(frozen=True)
class Section:
    """One table of the reference.

    Attributes:
        path: Its path, for example ``spec.postgres.pooler``. The path of list items ends in ``[]``.
        model: Its model.
        schema: Its structural schema.
    """

    path: str
    model: type[Model]
    schema: Mapping[str, Any]

    @property
    def anchor(self) -> str:
        """The link to its heading, as GitHub generates it."""
        return "#" + re.sub(r"[^a-z0-9]", "", self.path.lower())


def sections(model: type[Model], root: str) -> tuple[Section, ...]:
    """Returns every section below a root, outer ones first, each model once."""
    found: dict[type[Model], Section] = {}

    def walk(section: Section) -> None:
        if section.model in found:
            return
        found[section.model] = section
        for name, field in fields_of(section.model):
            inner, node = section_of(field.annotation), section.schema["properties"][name]
            entry = entry_of(field.annotation)
            if inner is not None:
                items = "[]" if node["type"] == "array" else ""
                walk(Section(f"{section.path}.{name}{items}", inner, node.get("items", node)))
            elif entry is not None:
                walk(Section(f"{section.path}.{name}.NAME", entry, node["additionalProperties"]))

    walk(Section(root, model, structural_schema(model)))
    return tuple(found.values())


def markdown(examples: Mapping[str, str]) -> str:
    """Returns the tables of spec, rules and status.

    Args:
        examples: A complete service in YAML for each section, by its path.
    """
    spec, status = sections(Spec, "spec"), sections(Status, "status")
    parts = [_contents(spec)]
    for section in (*spec, *status):
        parts.append(_section(section, {known.model: known for known in (*spec, *status)}))
        if section.path.removesuffix("[]") in examples:
            text = examples[section.path.removesuffix("[]")]
            parts.append(
                "<details><summary>Example with all fields</summary>\n\n"
                f"```yaml\n{text}```\n\n</details>\n"
            )
    return "\n".join(parts)


def _contents(spec: tuple[Section, ...]) -> str:
    top = [section for section in spec if section.path.count(".") <= 1]
    links = [f"[`{section.path}`]({section.anchor})" for section in top]
    return " · ".join([*links, "[`status`](#status)"]) + "\n"


def _section(section: Section, known: Mapping[type[Model], Section]) -> str:
    level = "##" if section.path.count(".") <= 1 else "###"
    about = (section.model.__doc__ or "").strip().replace("\n    ", "\n")
    rows = "".join(_rows(section, known))
    rules = "".join(
        f"- `{rule.field}`: {rule.message}.\n" for rule in RULES if rule.path == section.path
    )
    return f"{level} `{section.path}`\n\n{about}\n\n{_HEAD}{rows}" + (
        f"\nRules:\n\n{rules}" if rules else ""
    )


def _rows(section: Section, known: Mapping[type[Model], Section]) -> Iterator[str]:
    required = section.schema.get("required", ())
    for name, field in fields_of(section.model):
        node = section.schema["properties"][name]
        meaning, default = _meaning(node["description"], required=name in required)
        inner = section_of(field.annotation) or entry_of(field.annotation)
        kind = _kind(node) if inner is None else _link(node, known[inner])
        cells = (f"`{name}`", kind, default, meaning, _example(field))
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |\n"


def _meaning(description: str, *, required: bool) -> tuple[str, str]:
    match = _DEFAULT.search(description)
    if match is None:
        return description, "**required**" if required else ""
    return description[: match.start()], match.group(1)


def _link(node: Mapping[str, Any], section: Section) -> str:
    link = f"[section]({section.anchor})"
    if "additionalProperties" in node:
        return f"map of at most {node['maxProperties']}: {link}"
    return f"list of at most {node['maxItems']}: {link}" if node["type"] == "array" else link


def _kind(node: Mapping[str, Any]) -> str:
    match node:
        case {"x-kubernetes-int-or-string": True, "maximum": most} if most > 1000:
            kind = "quantity"
        case {"x-kubernetes-int-or-string": True, "maximum": most}:
            kind = f"integer 0 to {most}, or percentage"
        case {"x-kubernetes-int-or-string": True}:
            kind = "integer or string"
        case {"x-kubernetes-preserve-unknown-fields": True}:
            kind = "part of a pod"
        case {"enum": choices}:
            kind = " or ".join(f"`{choice}`" for choice in choices)
        case {"type": "array", "items": item, "maxItems": most}:
            kind = f"list of {node.get('minItems', 0)} to {most}: {_kind(item)}"
        case {"additionalProperties": value, "maxProperties": most}:
            kind = f"map of at most {most}: {_kind(value)}"
        case {"type": "integer", "minimum": least, "maximum": most}:
            kind = f"integer {least} to {most}"
        case {"type": "boolean"}:
            kind = "boolean"
        case {"type": "string", "maxLength": longest}:
            pattern = f", `{node['pattern']}`" if "pattern" in node else ""
            kind = f"string of at most {longest} characters{pattern}"
        case _:
            kind = {"integer": "integer", "string": "string"}.get(node.get("type", ""), "value")
    return kind


def _example(field: FieldInfo) -> str:
    return f"`{json.dumps(field.examples[0], ensure_ascii=False)}`" if field.examples else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def editor_schema() -> dict[str, Any]:
    """Returns the JSON Schema of the whole object for editors, without unknown fields."""
    schema = closed(object_schema())
    del schema["properties"]["status"]
    properties = schema["properties"]
    properties["apiVersion"]["const"] = naming.API_VERSION
    properties["kind"]["const"] = naming.KIND
    properties["metadata"]["required"] = ["name"]
    del properties["metadata"]["additionalProperties"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": naming.KIND,
        **schema,
        "required": ["apiVersion", "kind", "metadata", "spec"],
    }


def closed(node: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a structural schema as JSON Schema that refuses unknown fields, as kubectl does."""
    result = {key: value for key, value in node.items() if not key.startswith("x-kubernetes-")}
    if "properties" in node:
        result["properties"] = {name: closed(child) for name, child in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = False
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = closed(node["additionalProperties"])
    if "items" in node:
        result["items"] = closed(node["items"])
    if node.get(LIST_TYPE) == "set":
        result["uniqueItems"] = True
    return result
