"""Reads YAML and JSON documents with the same values as kubectl.

PyYAML and kubectl implement different versions of YAML: ``on`` is true for both, ``y`` is true only
for kubectl, and ``1:30`` is a number only for PyYAML. Source of the rules: ``resolve`` of
go.yaml.in/yaml/v2 and ``convertToJSONableObject`` of sigs.k8s.io/yaml.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

# Limit for anchors that multiply a document; a spec with every field has a few hundred values.
_MAX_VALUES = 200_000
# A spec with every field has a tenth of this depth.
_MAX_DEPTH = 200
_PLAIN = "plain"
_TAG = "tag:yaml.org,2002:"

_KEYWORDS: dict[str, Any] = {
    **{
        form: word in ("y", "yes", "true", "on")
        for word in ("y", "yes", "true", "on", "n", "no", "false", "off")
        for form in (word, word.capitalize(), word.upper())
    },
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)", re.ASCII)
_DECIMAL = re.compile(r"[-+]?([.][0-9]+|[0-9]+([.][0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
# An integer beyond 64 bits is read as a decimal number.
_LARGEST, _SMALLEST = 2**64 - 1, -(2**63)
# JSON writes an integral number below this as an integer, and a larger one with an exponent.
_INTEGER_BELOW = 1e21


class DocumentError(ValueError):
    """The text is not valid YAML or JSON, or kubectl could not send it."""


@dataclass(frozen=True)
class Document:
    """One document of a text.

    Attributes:
        body: Its value; a mapping if it is an API object.
        lines: Line number of each value by its path, from 1; empty for JSON.
    """

    body: Any
    lines: Mapping[str, int]

    def line(self, path: str) -> int | None:
        """Returns the line of a value, or of the nearest enclosing value that is present."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get("")


def read_documents(text: str) -> tuple[Document, ...]:
    """Returns the documents of a YAML or JSON text, in order, without empty ones.

    Raises:
        DocumentError: The text cannot be parsed, or a mapping has a duplicate key.
    """
    try:
        if text.lstrip()[:1] == "{":
            try:
                return tuple(_read_json(text))
            except json.JSONDecodeError:
                pass  # It may be YAML in flow style.
        _check_depth(text)
        nodes = list(yaml.compose_all(text, Loader=_Composer))
        found = (_read_node(node) for node in nodes if node is not None)
        return tuple(document for document in found if document.body is not None)
    except yaml.YAMLError as error:
        raise DocumentError(f"not valid YAML: {describe_error(error)}") from error
    except RecursionError as error:
        raise DocumentError("nested too deeply") from error


def describe_error(error: yaml.YAMLError) -> str:
    """Returns line, column and problem of a YAML error in one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or not problem:
        return str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _read_json(text: str) -> Iterator[Document]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_without_duplicates, parse_float=lambda word: _as_json(float(word))
    )
    rest = text.strip()
    while rest:
        body, end = decoder.raw_decode(rest)
        yield Document(body, {})
        rest = rest[end:].strip()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DocumentError(f"duplicate key {key!r}")
        found[key] = value
    return found


# libyaml is ten times as fast, but a PyYAML built from source may be without it.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Composer(_Loader):  # type: ignore[misc]
    """Composes nodes, and marks a scalar without quotes and tag as plain."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, implicit))


def _check_depth(text: str) -> None:
    """Refuses deep nesting, which would overflow the stack of libyaml's recursive composer."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise DocumentError("nested too deeply")


def _read_node(root: yaml.Node) -> Document:
    reader = _Reader()
    body = reader.value(root, "")
    return Document(body, reader.lines)


class _Reader:
    """Converts nodes to values, and records their lines."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self._open: set[int] = set()
        self._values = 0

    def value(self, node: yaml.Node, path: str) -> Any:
        self._values += 1
        if self._values > _MAX_VALUES:
            raise DocumentError(f"more than {_MAX_VALUES} values, including those of aliases")
        self.lines[path] = _line(node)
        if isinstance(node, yaml.ScalarNode):
            return _as_json(_parse_scalar(node))
        if id(node) in self._open:
            raise DocumentError(f"line {_line(node)}: an anchor contains itself")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [
                    self.value(item, f"{path}[{index}]") for index, item in enumerate(node.value)
                ]
            return self._mapping(node, path)
        finally:
            self._open.remove(id(node))

    def _mapping(self, node: yaml.Node, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        written: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                found |= self._merged(value_node, path)
                continue
            key = _key(key_node)
            if key in written:
                line = _line(key_node)
                raise DocumentError(f"line {line}: duplicate key {key!r}")
            written.add(key)
            here = f"{path}.{key}" if path else key
            found[key] = self.value(value_node, here)
            self.lines[here] = _line(key_node)
        return found

    def _merged(self, node: yaml.Node, path: str) -> dict[str, Any]:
        parts = reversed(node.value) if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise DocumentError(
                    f"line {_line(node)}: << requires a mapping or a list of mappings"
                )
            merged |= self.value(part, path)
        return merged


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _key(node: yaml.Node) -> str:
    """Returns a key as a string, since JSON has no other keys."""
    value = _parse_scalar(node) if isinstance(node, yaml.ScalarNode) else None
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case _:
            raise DocumentError(f"line {_line(node)}: a key must be a string; quote it")


def _parse_scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    match node.tag.removeprefix(_TAG):
        case "plain":
            return _parse_plain(text)
        case "str" | "!":
            return text
        case "int" | "bool" | "null" | "float" as kind:
            value = _parse_plain(text)
            expected = {"int": int, "bool": bool, "null": type(None), "float": int | float}[kind]
            if isinstance(value, expected) and isinstance(value, bool) == (kind == "bool"):
                return value
    raise DocumentError(f"line {_line(node)}: cannot read {text!r} as {node.tag}")


def _parse_plain(text: str) -> Any:
    """Returns the value of a scalar without quotes."""
    if text in _KEYWORDS:
        return _KEYWORDS[text]
    if text[0] == ".":
        return _parse_decimal(text, text)
    if text[0] not in "+-0123456789":
        return text
    digits = text.replace("_", "")
    whole = _INTEGER.fullmatch(digits)
    if whole:
        number = _parse_integer(whole.group(2)) * (-1 if whole.group(1) == "-" else 1)
        if _SMALLEST <= number <= _LARGEST:
            return number
    return _parse_decimal(digits, text)


def _parse_decimal(digits: str, text: str) -> float | str:
    number = float(digits) if _DECIMAL.fullmatch(digits) else math.inf
    return number if math.isfinite(number) else text


def _parse_integer(digits: str) -> int:
    if re.fullmatch("0[0-7]+", digits):
        return int(digits, 8)
    return int(digits, 0)


def _as_json(value: Any) -> Any:
    """Returns a number as JSON writes it: 1e3 and 2.0 become integers."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise DocumentError(f"{value} is not a valid JSON number")
    if value.is_integer() and abs(value) < _INTEGER_BELOW:
        return int(value)
    return value
