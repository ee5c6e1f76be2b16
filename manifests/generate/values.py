"""Generates the schema and the table of a chart's values from values.yaml and its comments.

The comment above a key is its documentation. If its last line is ``@schema {…}``, that is added to
the JSON schema of the default: a mapping with keys permits only these keys, an empty mapping
permits all keys; other values keep their type.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_MARK = "@schema "


@dataclass(frozen=True)
class Value:
    """One value of a chart.

    Attributes:
        path: Keys from the root.
        default: The value in values.yaml.
        text: Its documentation; empty for a mapping that needs none.
        schema: The schema from the comment.
    """

    path: tuple[str, ...]
    default: Any
    text: str
    schema: dict[str, Any]

    @property
    def name(self) -> str:
        """The path in the form of ``helm --set``."""
        return ".".join(self.path)

    @property
    def is_section(self) -> bool:
        """Whether it is a mapping with keys of its own."""
        return isinstance(self.default, dict) and bool(self.default)


def read(text: str) -> list[Value]:
    """Returns every value of a values.yaml, sections before their keys."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return []
    return list(_walk(root, (), text.splitlines()))


def _walk(node: yaml.MappingNode, path: tuple[str, ...], lines: list[str]) -> Iterator[Value]:
    for key, child in node.value:
        here = (*path, key.value)
        comment = _comment_above(lines, key.start_mark.line)
        added = [line.removeprefix(_MARK) for line in comment if line.startswith(_MARK)]
        value = Value(
            path=here,
            default=yaml.safe_load(yaml.serialize(child)),
            text=" ".join(line for line in comment if not line.startswith(_MARK)),
            schema=yaml.safe_load(added[0]) if added else {},
        )
        yield value
        if isinstance(child, yaml.MappingNode):
            yield from _walk(child, here, lines)


def _comment_above(lines: list[str], line: int) -> list[str]:
    comment: list[str] = []
    while line > 0 and lines[line - 1].strip().startswith("#"):
        line -= 1
        comment.insert(0, lines[line].strip().removeprefix("#").strip())
    return comment


def schema(values: list[Value], *, title: str, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns the JSON schema of a chart's values.

    Args:
        values: The values of the chart.
        title: The chart's name.
        known: Schemas of sections with a better source than their defaults.
    """
    root: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "type": "object",
        "additionalProperties": False,
        # A parent chart passes these to each of its charts.
        "properties": {"global": {"type": "object"}, "enabled": {"type": "boolean"}},
    }
    for value in values:
        if len(value.path) > 1 and value.path[0] in (*known, *_FREE):
            continue
        parent = root
        for key in value.path[:-1]:
            parent = parent["properties"][key]
        described = {"description": value.text} if value.text else {}
        parent["properties"][value.path[-1]] = (
            known[value.name] | described
            if value.name in known
            else _of_default(value) | described | value.schema
        )
    return root


def _of_default(value: Value) -> dict[str, Any]:
    match value.default:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array"}
        case dict() if value.is_section and value.path[0] not in _FREE:
            return {"type": "object", "additionalProperties": False, "properties": {}}
        case dict():
            return {"type": "object"}
        case _:
            raise ValueError(
                f"{value.name}: {value.default!r} has no type; use a string, number or list"
            )


# Pieces of a pod: Kubernetes defines their keys.
_FREE = ("resources", "podSecurityContext", "securityContext")


def table(values: list[Value]) -> str:
    """Returns the values as a Markdown table; a part of a pod is one row."""
    rows = ["| value | default | meaning |", "| --- | --- | --- |"]
    for value in values:
        free = value.path[0] in _FREE
        if (value.is_section and not free) or (free and len(value.path) > 1):
            continue
        default = yaml.safe_dump(value.default, default_flow_style=True, width=1000)
        shown = default.removesuffix("\n").removesuffix("\n...").replace("|", "\\|")
        rows.append(f"| `{value.name}` | `{shown}` | {value.text.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"
