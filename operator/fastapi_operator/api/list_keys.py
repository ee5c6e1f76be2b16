"""Lists that Kubernetes merges by a key, and lists that are sets: each item must be distinct.

The CRD declares them, so that the API server refuses duplicates. Here the same declarations are
checked without a cluster.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi_operator.api.crd import structural_schema
from fastapi_operator.api.model import LIST_TYPE, MERGED_BY
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage

_SHOWN_LENGTH = 80


def find_duplicates(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Yields a problem for each item whose key is missing, invalid, or that of another item.

    Args:
        spec: The spec as the API server stores it, valid by its models.
    """
    yield from _walk(_schema(), spec, "spec")


@functools.cache
def _schema() -> Mapping[str, Any]:
    return structural_schema(Spec)


def _walk(node: Mapping[str, Any], value: Any, path: str) -> Iterator[Problem]:
    if isinstance(value, list):
        yield from _duplicates(node, value, path)
        for index, item in enumerate(value):
            yield from _walk(node.get("items", {}), item, f"{path}[{index}]")
    elif isinstance(value, Mapping) and not node.get("x-kubernetes-preserve-unknown-fields"):
        for name, child in node.get("properties", {}).items():
            if name in value:
                yield from _walk(child, value[name], f"{path}.{name}")


def _duplicates(node: Mapping[str, Any], items: Sequence[Any], path: str) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        place = f"{path}[{index}]"
        if node.get(LIST_TYPE) == "map":
            (field,) = node[MERGED_BY]
            rules = node["items"]["properties"][field]
            fault = _fault(item, field, rules)
            if fault:
                yield _problem(f"{place}.{field}", fault)
                continue
            key, shown = item[field], f"{field} {_shown(item[field])}"
        elif node.get(LIST_TYPE) == "set":
            key, shown = item, _shown(item)
        else:
            return
        if key in seen:
            yield _problem(
                place, f"duplicate {shown}: {path}[{seen[key]}] has it already", "remove one"
            )
        seen.setdefault(key, index)


def _fault(item: Mapping[str, Any], field: str, rules: Mapping[str, Any]) -> str:
    """Returns why the key of an item is not valid; empty if it is."""
    if field not in item:
        return "is required"
    key = item[field]
    if not isinstance(key, str):
        return f"{_shown(key)} must be a string"
    if len(key) > rules["maxLength"]:
        return f"{_shown(key)} must have at most {rules['maxLength']} characters"
    if not re.fullmatch(rules["pattern"], key):
        return f"{_shown(key)} must match {rules['pattern']}"
    return ""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def _problem(path: str, message: str, remedy: str = "") -> Problem:
    return Problem(
        severity=Severity.ERROR, stage=Stage.SCHEMA, path=path, message=message, remedy=remedy
    )
