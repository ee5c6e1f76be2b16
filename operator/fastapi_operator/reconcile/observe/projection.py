"""Projects a live object on the fields that the operator's field manager owns.

The API server records in ``metadata.managedFields`` which manager owns which field (FieldsV1). The
digest of the object, projected on the operator's entry, changes if another manager edits or takes
over one of its fields. It stays the same if a default is filled in, the status changes, or an
autoscaler changes its own fields. So drift is found without keeping the body.

FieldsV1 keys: ``f:name`` a field, ``k:{...}`` the element of a list with those key fields,
``v:value`` an element of a set, ``i:n`` an element by position, ``.`` the item itself. An empty
mapping is a leaf: the whole value below it is owned.
"""

import functools
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from fastapi_operator import naming, quantity

# The digest of the last applied body; from it a restarted operator sees that nothing changed.
APPLIED_ANNOTATION = f"{naming.GROUP}/applied"
# The digest of the spec fields that an object was built from. If they did not change, a restart was
# not requested and must wait for an approval.
REQUESTED_HASH_ANNOTATION = f"{naming.GROUP}/requested-hash"

# Keys of the lists that the Kubernetes API merges by key, in the order in which they are tried.
# Source: x-kubernetes-list-map-keys in the OpenAPI document of Kubernetes 1.35.
_LIST_KEYS: tuple[tuple[str, ...], ...] = (
    ("name",),
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("mountPath",),
    ("devicePath",),
    ("topologyKey", "whenUnsatisfiable"),
    ("uid",),
    ("type",),
    ("ip",),
    ("key",),
)
_KEY_DEFAULTS = {"protocol": "TCP"}
_KEY_START = re.compile(r"/(?=[fkvi]:)")
# No quantity is longer, and other texts may be configuration files.
_QUANTITY_LENGTH = 40


def digest(value: object) -> str:
    """Returns a digest that is equal for equal JSON values."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def own_fields(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the fields that the operator's apply owns; None if it never applied the object."""
    for entry in body.get("metadata", {}).get("managedFields") or ():
        if (
            entry.get("manager") == naming.FIELD_MANAGER
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            fields: Mapping[str, Any] = entry.get("fieldsV1", {})
            return fields
    return None


def owners_of(body: Mapping[str, Any], *path: str) -> frozenset[str]:
    """Returns the managers that own the field at ``path``, for example ``spec``, ``replicas``."""
    found = set()
    for entry in body.get("metadata", {}).get("managedFields") or ():
        fields = entry.get("fieldsV1", {})
        for name in path:
            fields = fields.get(f"f:{name}")
            if fields is None:
                break
        else:
            found.add(entry.get("manager", ""))
    return frozenset(found)


def project(value: Any, fields: Mapping[str, Any]) -> Any:
    """Returns ``value`` reduced to the fields in ``fields`` (FieldsV1)."""
    if not fields:
        return value
    if isinstance(value, Mapping):
        # The API server omits fields that are false or 0, so an absent field counts as well.
        return {name: project(value.get(name), below) for name, below in _fields(fields)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {
            key: project(element, below)
            for key, below in fields.items()
            if key != "." and (element := _element(value, key)) is not None
        }
    return value


def live_digest(body: Mapping[str, Any]) -> str:
    """Returns the digest of the fields that the operator owns; empty if it owns none.

    ``spec.replicas`` is excluded and compared separately, because an autoscaler may own it.
    """
    fields = own_fields(body)
    if fields is None:
        return ""
    if "f:replicas" in fields.get("f:spec", ()):
        spec = {key: below for key, below in fields["f:spec"].items() if key != "f:replicas"}
        fields = {**fields, "f:spec": spec}
    return digest(project(body, fields))


def owned_paths(body: Mapping[str, Any]) -> frozenset[int]:
    """Returns hashes of all paths that the operator owns, and of the values of their leaves."""
    return frozenset(_walk(own_fields(body) or {}, body, ""))


def covers(owned: frozenset[int], body: Mapping[str, Any]) -> bool:
    """Whether the operator still owns every field of a desired body, with its value.

    A manager that changes a field takes it over; an admission policy does not. So if the
    annotation shows that this body was applied, and all fields are covered, nothing has drifted.
    """
    return next(find_uncovered(owned, body), None) is None


def find_uncovered(owned: frozenset[int], body: Mapping[str, Any]) -> Iterator[str]:
    """Yields the path of each field that another manager owns, or that has another value.

    Values within mappings and lists that have one owner as a whole are not compared, because the
    API server fills in defaults there.

    Args:
        owned: The ``owned_paths`` of the live object.
        body: The desired body.
    """
    for name, value in body.items():
        if name not in ("apiVersion", "kind", "metadata"):
            yield from _uncovered(owned, value, f"/f:{name}")
    for name in ("labels", "annotations", "ownerReferences"):
        if name in body["metadata"]:
            yield from _uncovered(owned, body["metadata"][name], f"/f:metadata/f:{name}")


def _uncovered(owned: frozenset[int], value: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    if _hash(path + "!") in owned:
        text = _canonical(value)
        if text is not None and _hash(f"{path}={text}") not in owned:
            yield _shown(path)
    elif isinstance(value, Mapping):
        for name, below in value.items():
            yield from _uncovered(owned, below, f"{path}/f:{name}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for element in value:
            yield from _uncovered_element(owned, element, path)
    else:
        yield _shown(path)


def _uncovered_element(owned: frozenset[int], element: Any, path: str) -> Iterator[str]:
    if not isinstance(element, Mapping):
        if _hash(f"{path}/v:{_compact(element)}!") not in owned:
            yield _shown(path)
        return
    for names in _LIST_KEYS:
        if names[0] not in element:
            continue
        key = {name: element.get(name, _KEY_DEFAULTS.get(name)) for name in names}
        below = f"{path}/k:{_compact(key)}"
        if _hash(below) in owned:
            yield from _uncovered(owned, element, below)
            return
    yield _shown(path)


def _canonical(value: Any) -> str | None:
    """Returns a text that is equal for equal scalars or lists of them; None for other values.

    The API server omits empty values, and writes quantities in one of several forms.
    """
    if not value:
        return None if isinstance(value, Mapping) else ""
    if not isinstance(value, str | int | float):
        if isinstance(value, Mapping):
            return None
        is_flat = not any(isinstance(item, Mapping | list) for item in value)
        return _compact(value) if is_flat else None
    text = str(value)
    if len(text) > _QUANTITY_LENGTH:
        return text
    try:
        return str(quantity.parse_quantity(text).normalize())
    except ValueError:
        return text


def _shown(path: str) -> str:
    """Returns a path of FieldsV1 keys as users write it: ``spec.containers[app].image``."""
    text = ""
    for key in _KEY_START.split(path)[1:]:
        kind, _, name = key.partition(":")
        if kind == "k":
            text += f"[{', '.join(str(part) for part in json.loads(name).values())}]"
        else:
            text += f".{name}" if kind == "f" else f"[{name}]"
    return text.removeprefix(".")


def _walk(fields: Mapping[str, Any], value: Any, path: str) -> Iterator[int]:
    for key, below in fields.items():
        if key == ".":
            continue
        here = f"{path}/{_same_form(key)}"
        yield _hash(here)
        found = _below(value, key)
        if below:
            yield from _walk(below, found, here)
        else:
            yield _hash(here + "!")
            scalar = _canonical(found)
            if scalar is not None:
                yield _hash(f"{here}={scalar}")


@functools.lru_cache(maxsize=4096)
def _same_form(key: str) -> str:
    """Returns a FieldsV1 key as this module writes it: the API server escapes other characters."""
    kind, _, text = key.partition(":")
    return f"{kind}:{_compact(json.loads(text))}" if kind in "kv" else key


def _below(value: Any, key: str) -> Any:
    """Returns the part of a value that a FieldsV1 key names; None if it is missing."""
    if isinstance(value, dict):
        return value.get(key[2:])
    return _element(value, key) if isinstance(value, list) else None


def _hash(path: str) -> int:
    return zlib.crc32(path.encode())


def _compact(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _fields(fields: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, below in fields.items():
        if key.startswith("f:"):
            yield key[2:], below


# The managed fields of all objects of a kind have the same few keys.
@functools.lru_cache(maxsize=4096)
def _parsed(key: str) -> tuple[str, Any]:
    kind, _, text = key.partition(":")
    return kind, json.loads(text)


def _element(values: Sequence[Any], key: str) -> Any:
    """Returns the element of a list that a FieldsV1 key names, or None."""
    kind, wanted = _parsed(key)
    if kind == "i":
        return values[wanted] if wanted < len(values) else None
    if kind == "v":
        return wanted if wanted in values else None
    for element in values:
        if isinstance(element, Mapping) and all(
            element.get(name) == value for name, value in wanted.items()
        ):
            return element
    return None
