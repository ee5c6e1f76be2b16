"""The part of a service's status that the operator itself wrote.

Facts that are kept in the status, for example the unfinished work of a migration, are read
back from it. A user who may patch the status could otherwise invent them. The API server records in
``metadata.managedFields`` which manager wrote each field last.
"""

import json
from collections.abc import Mapping
from typing import Any

from fastapi_operator import naming

Body = Mapping[str, Any]


def own_status(body: Body) -> dict[str, Any]:
    """Returns the fields of a live service's status that no other manager wrote last."""
    status = body.get("status") or {}
    for entry in body["metadata"].get("managedFields") or ():
        if (
            entry.get("manager") == naming.FIELD_MANAGER
            and entry.get("operation") == "Apply"
            and entry.get("subresource") == "status"
        ):
            return _owned(status, entry.get("fieldsV1", {}).get("f:status") or {})
    return {}


def foreign_fields(live: Body, own: Body) -> dict[str, Any]:
    """Returns a JSON merge patch that removes from a live status all that is not in ``own``."""
    patch: dict[str, Any] = {}
    for name, value in live.items():
        if name not in own:
            patch[name] = None
        elif isinstance(value, Mapping):
            if below := foreign_fields(value, own[name]):
                patch[name] = below
        elif isinstance(value, list) and len(value) != len(own[name]):
            patch[name] = own[name]
    return patch


def _owned(value: Body, fields: Body) -> dict[str, Any]:
    found = {}
    for name, item in value.items():
        below = fields.get(f"f:{name}")
        if below is None:
            continue
        if not below:  # a leaf, or a list with one owner
            found[name] = item
        elif isinstance(item, Mapping):
            found[name] = _owned(item, below)
        elif isinstance(item, list):
            found[name] = [element for element in item if _is_own(element, below)]
    return found


def _is_own(element: Body, fields: Body) -> bool:
    """Whether all fields of an element of a list are owned; the list is merged by ``type``."""
    key = json.dumps({"type": element.get("type")}, separators=(",", ":"))
    owned = fields.get(f"k:{key}", {})
    return all(f"f:{name}" in owned for name in element)
