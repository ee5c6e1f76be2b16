"""Refused writes, and the fields of the spec from which a refused field was copied.

The CRD accepts parts of a pod spec without validation, so that an invalid field is only found when
the child is applied. No table maps such fields back: the value at the refused path, or around it,
is searched for in the spec.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi_operator.problems import Problem, Severity, Stage
from fastapi_operator.reconcile.plan.owned_object import OwnedObject
from fastapi_operator.resources.desired import ObjectKey

_TOKEN = re.compile(r"\[(\d+)\]|\[((?:[\w./-]+=\"[^\"]*\",?)+)\]|[.]?([^.\[\]]+)")
_KEY = re.compile(r"([\w./-]+)=\"([^\"]*)\"")

# A field's name, an index, or the keys that identify an item of a list.
Token = str | int | tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Refusal:
    """A write that does not succeed until a person changes something.

    Attributes:
        key: The object.
        reason: One CamelCase word: ``NameTaken``, ``Invalid``, ``CredentialsLost`` …
        message: The refused field or object, and the remedy.
        faults: Fields of the object that the API server refused, each with its reason.
        is_warning: Whether the object stays as it is, which is only reported as a problem.
    """

    key: ObjectKey
    reason: str
    message: str
    faults: tuple[tuple[str, str], ...] = ()
    is_warning: bool = False


def to_problem(refusal: Refusal) -> Problem:
    """Returns the problem for a default that an existing object does not permit."""
    return Problem(
        severity=Severity.WARNING,
        stage=Stage.PLAN,
        path="spec",
        message=f"a default of the profile or of the operator has no effect: {refusal.message}",
    )


def with_spec_paths(
    refusal: Refusal, objects: Iterable[OwnedObject], spec: Mapping[str, Any]
) -> Refusal:
    """Returns a refusal that names fields of the spec, if the refused fields came from there."""
    owned = next((item for item in objects if item.key == refusal.key), None)
    if owned is None:
        return refusal
    faults = [
        f"{path}: {reason}"
        for field, reason in refusal.faults
        if (path := spec_path(field, owned.body, spec)) is not None
    ]
    if not faults:
        return refusal
    return dataclasses.replace(refusal, message=f"{'; '.join(faults)} (refused in {refusal.key})")


def spec_path(field: str, body: Mapping[str, Any], spec: Mapping[str, Any]) -> str | None:
    """Returns the path in a spec from which a field of a child was copied.

    Args:
        field: The refused field, as the API server writes it:
            ``spec.template.spec.volumes[2].emptyDir`` or ``.spec.volumes[name="a"].emptyDir``.
        body: The child as it was sent.
        spec: The spec as the user wrote it.

    Returns:
        The path, starting with ``spec``; None if no value in the spec matches.
    """
    tokens = _tokens(field)
    written = [(path, value) for path, value in _nodes(spec, ("spec",)) if path != ("spec",)]
    for depth, node in reversed(list(enumerate(_along(body, tokens)))):
        place = tokens[:depth]
        alike = [path for path, value in written if _same(path, value, place, node)]
        if alike:
            nearest = max(alike, key=lambda path: _shared_end(path, place))
            return _text((*nearest, *tokens[depth:]))
    return None


def _tokens(field: str) -> tuple[Token, ...]:
    found: list[Token] = []
    for match in _TOKEN.finditer(field):
        index, keys, name = match.groups()
        if index is not None:
            found.append(int(index))
        elif keys is not None:
            found.append(tuple(_KEY.findall(keys)))
        else:
            found.append(name)
    return tuple(found)


def _along(body: Any, tokens: Sequence[Token]) -> Iterator[Any]:
    """Yields the values on the path to a field, starting with the body, as far as they exist."""
    node = body
    yield node
    for token in tokens:
        node = _child(node, token)
        if node is None:
            return
        yield node


def _child(node: Any, token: Token) -> Any:
    if isinstance(token, str):
        return node.get(token) if isinstance(node, Mapping) else None
    if not isinstance(node, Sequence) or isinstance(node, str):
        return None
    if isinstance(token, int):
        return node[token] if token < len(node) else None
    return next(
        (item for item in node if all(str(item.get(key)) == value for key, value in token)), None
    )


def _nodes(value: Any, path: tuple[Token, ...]) -> Iterator[tuple[tuple[Token, ...], Any]]:
    yield path, value
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _nodes(item, (*path, name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _nodes(item, (*path, index))


def _same(path: tuple[Token, ...], value: Any, place: tuple[Token, ...], node: Any) -> bool:
    """Whether a value of the spec is the one in the child, perhaps with fields added to it."""
    same_name = _name(path) == _name(place)
    if value in ({}, []):
        return False  # Equal to every other empty value; its parent is more specific.
    if value == node:
        return same_name or isinstance(value, Mapping)
    if not same_name or not isinstance(value, Mapping) or not isinstance(node, Mapping):
        return False
    return "name" in value and value["name"] == node.get("name")


def _name(path: Sequence[Token]) -> Token | None:
    """Returns the last field name of a path; for an item of a list, the name of the list."""
    return next((token for token in reversed(path) if isinstance(token, str)), None)


def _shared_end(path: Sequence[Token], place: Sequence[Token]) -> int:
    names = [[token for token in tokens if isinstance(token, str)] for tokens in (path, place)]
    shared = 0
    for one, other in zip(*map(reversed, names), strict=False):
        if one != other:
            break
        shared += 1
    return shared


def _text(path: Sequence[Token]) -> str:
    text = ""
    for token in path:
        if isinstance(token, str):
            text += f".{token}" if text else token
        elif isinstance(token, int):
            text += f"[{token}]"
        else:
            text += "[" + ",".join(f'{key}="{value}"' for key, value in token) + "]"
    return text
