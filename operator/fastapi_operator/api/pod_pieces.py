"""Checks the parts of a spec that the CRD accepts without a schema: pieces of a pod.

The API server checks them only when an owned object is applied. Types and required fields are
checked before, so that no formula and no builder reads a malformed piece, and so that ``validate``
reports its path without a cluster. Unknown fields are not checked: a newer API server may know
them, and it rejects the others itself.

``pod_schema.json`` has the types, from the OpenAPI document of a real API server. A type is the
name of a schema or of a scalar; ``!`` marks a required field, ``[T]`` a list, ``[T#key]`` a list
that is merged by that key, and ``{T}`` a mapping.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi_operator.api.crd import structural_schema
from fastapi_operator.api.service import Spec
from fastapi_operator.problems import Problem, Severity, Stage

# The types of the fields without a schema, by the name of the field.
TYPES: Mapping[str, str] = {
    "affinity": "Affinity",
    "containers": "[Container]",
    "egressTo": "[NetworkPolicyEgressRule]",
    "env": "[EnvVar]",
    "envFrom": "[EnvFromSource]",
    "ingressFrom": "[NetworkPolicyPeer]",
    "initContainers": "[Container]",
    "podTemplate": "PodTemplateSpec",
    "tolerations": "[Toleration]",
    "volumeMounts": "[VolumeMount]",
    "volumes": "[Volume]",
}
# Merged into the app's pod: it may omit required fields, except those that identify an item.
_PARTIAL = frozenset({"podTemplate"})
# Fields of other APIs, which their operators check.
FOREIGN = frozenset({"backup"})
# The schema does not require these names, but the API server does.
_NAMED = frozenset(
    {"ConfigMapEnvSource", "ConfigMapKeySelector", "SecretEnvSource", "SecretKeySelector"}
)
_FILE = Path(__file__).parent / "pod_schema.json"
# The patterns of the API server's parsers. For a value that does not match, it names no field.
_QUANTITY = re.compile(r"[+-]?[0-9]*[.]?[0-9]+([eE][+-]?[0-9]+|[EPTGMKk]i?|[num]|)|[+-]?[0-9]+[.]")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.]\d+)?(Z|[+-]\d\d:\d\d)")
_SHOWN_LENGTH = 80
_ANY_KEY = "*"

FieldPath = tuple[str, ...]


def find_malformed(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Yields a problem for each malformed piece of a pod in a spec, without its null fields."""
    for path, type_name in _open_fields():
        partial = path[-1] in _PARTIAL
        for at, value in _values(spec, path, "spec"):
            yield from _check(value, type_name, at, partial=partial)


@functools.cache
def pod_schema() -> Mapping[str, Mapping[str, str]]:
    """Returns the types of the fields of each schema."""
    schemas: Mapping[str, Mapping[str, str]] = json.loads(_FILE.read_text())
    return schemas


@functools.cache
def _open_fields() -> tuple[tuple[FieldPath, str], ...]:
    """Returns path and type of each field of a spec without a schema."""
    return tuple((path, TYPES[path[-1]]) for path in open_paths() if path[-1] in TYPES)


def open_paths() -> tuple[FieldPath, ...]:
    """Returns the paths of all fields of a spec without a schema.

    A list adds no name, and a map adds ``*`` for each of its keys.
    """
    return tuple(_find_open(structural_schema(Spec), ()))


def _find_open(node: Mapping[str, Any], path: FieldPath) -> Iterator[FieldPath]:
    if node.get("x-kubernetes-preserve-unknown-fields"):
        yield path
    if "items" in node:
        yield from _find_open(node["items"], path)
    if isinstance(node.get("additionalProperties"), dict):
        yield from _find_open(node["additionalProperties"], (*path, _ANY_KEY))
    for name, below in node.get("properties", {}).items():
        yield from _find_open(below, (*path, name))


def _values(value: Any, path: FieldPath, at: str) -> Iterator[tuple[str, Any]]:
    """Yields the values at a path; for a list on the way, those in each of its items."""
    if not path:
        yield at, value
    elif isinstance(value, Mapping) and path[0] == _ANY_KEY:
        for name, item in value.items():
            yield from _values(item, path[1:], f"{at}.{name}")
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _values(value[path[0]], path[1:], f"{at}.{path[0]}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _values(item, path, f"{at}[{index}]")


def _check(
    value: Any, type_name: str, at: str, *, partial: bool, key: str = ""
) -> Iterator[Problem]:
    if type_name.startswith("["):
        inner, _, merge_key = type_name[1:-1].partition("#")
        if not isinstance(value, list):
            yield _wrong(at, value, "a list")
            return
        for index, item in enumerate(value):
            yield from _check(item, inner, f"{at}[{index}]", partial=partial, key=merge_key)
    elif type_name.startswith("{"):
        if not isinstance(value, Mapping):
            yield _wrong(at, value, "a mapping")
            return
        for name, item in value.items():
            yield from _check(item, type_name[1:-1], f"{at}.{name}", partial=partial)
    elif type_name in _SCALARS:
        is_valid, expected = _SCALARS[type_name]
        if not is_valid(value):
            yield _wrong(at, value, expected)
    elif type_name in pod_schema():
        yield from _check_fields(value, type_name, at, partial=partial, key=key)


def _check_fields(
    value: Any, type_name: str, at: str, *, partial: bool, key: str
) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield _wrong(at, value, "a mapping")
        return
    fields = pod_schema()[type_name]
    for name, coded in fields.items():
        is_required = coded.endswith("!") or (name == "name" and type_name in _NAMED)
        if name in value:
            yield from _check(value[name], coded.removesuffix("!"), f"{at}.{name}", partial=partial)
        elif is_required and (not partial or name == key):
            yield _problem(f"{at}.{name}", "is required")


def _is_integer(value: Any, bits: int) -> bool:
    # The API server keeps only the lower bits of an integer that is too large.
    limit = 2 ** (bits - 1)
    return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit


def _is_quantity(value: Any) -> bool:
    if isinstance(value, str):
        return _QUANTITY.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


_SCALARS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "a string"),
    "int32": (lambda value: _is_integer(value, 32), "an integer of 32 bits"),
    "int64": (lambda value: _is_integer(value, 64), "an integer of 64 bits"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "quantity": (_is_quantity, "a quantity, for example 100m or 1Gi"),
    "intOrString": (
        lambda value: isinstance(value, str) or _is_integer(value, 32),
        "an integer or a string",
    ),
    "time": (
        lambda value: isinstance(value, str) and _TIME.fullmatch(value) is not None,
        "a time, for example 2026-01-31T10:00:00Z",
    ),
}


def _wrong(at: str, value: Any, expected: str) -> Problem:
    text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > _SHOWN_LENGTH:
        text = text[: _SHOWN_LENGTH - 1] + "…"
    quote = isinstance(value, int | float) and expected == "a string"
    return _problem(at, f"{text} must be {expected}", f'quote it: "{text}"' if quote else "")


def _problem(at: str, message: str, remedy: str = "") -> Problem:
    return Problem(
        severity=Severity.ERROR, stage=Stage.PLAN, path=at, message=message, remedy=remedy
    )
