"""The Secrets of a user without which the containers of a service do not start."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.project import dotenv
from fastapi_operator.project.variable import is_secret

# Passwords that templates publish to be replaced, for example "changethis".
_PLACEHOLDER = re.compile(
    r"(change|replace)[ _-]?(this|me|it)?|(my|your)[ _-]\S.*|todo|x{3,}|\.{3}|…|<[^<>]*>",
    re.IGNORECASE,
)


def required_secrets(spec: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Returns the Secrets that ``env`` and ``envFrom`` of all processes require.

    Returns:
        The required keys by the name of the Secret; none if its keys are not named.
    """
    found: dict[str, set[str]] = {}
    for section in _sections(spec):
        for entry in section.get("env") or ():
            reference = ((entry or {}).get("valueFrom") or {}).get("secretKeyRef") or {}
            if reference.get("name") and not reference.get("optional"):
                found.setdefault(reference["name"], set()).add(str(reference.get("key")))
        for entry in section.get("envFrom") or ():
            reference = (entry or {}).get("secretRef") or {}
            if reference.get("name") and not reference.get("optional"):
                found.setdefault(reference["name"], set())
    return {name: frozenset(keys) for name, keys in found.items()}


def read_values(text: str) -> dict[str, str]:
    """Reads values, one ``NAME=value`` a line, as in a ``.env``.

    Raises:
        ValueError: A line is of another form; the message has its number, not its text.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if dotenv.is_empty(line):
            continue
        pair = dotenv.read_line(line)
        if pair is None:
            raise ValueError(f"line {number} is not NAME=value")
        found[pair[0]] = pair[1]
    return found


def placeholders(values: Mapping[str, str], keys: Iterable[str]) -> list[str]:
    """Returns the keys of passwords and keys whose values everybody knows, or that are empty."""
    return sorted(
        key
        for key in keys
        if is_secret(key) and (not values[key] or _PLACEHOLDER.fullmatch(values[key].strip()))
    )


def secret(name: str, namespace: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Returns a Secret; a later change of its values restarts the app."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {naming.WATCHED_LABEL: "true"},
        },
        "type": "Opaque",
        "stringData": dict(values),
    }


def _sections(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield spec
    yield from (entry or {} for key in ("background", "schedules") for entry in spec.get(key) or ())
    yield (spec.get("postgres") or {}).get("migrations") or {}
