"""Whose an object is that already carries a wanted name: ours, going by itself, or taken."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.resources.desired import ObjectKey


def _controller(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    references = body["metadata"].get("ownerReferences") or ()
    return next((ref for ref in references if ref.get("controller")), None)


def is_going(body: Mapping[str, Any], owner: Owner) -> bool:
    """Whether an object will be gone by itself: deleted, or left by a service of the same name."""
    if body["metadata"].get("deletionTimestamp"):
        return True
    controller = _controller(body)
    return (
        controller is not None
        and controller.get("kind") == naming.KIND
        and controller.get("name") == owner.name
        and controller.get("uid") != owner.uid
    )


def taken(key: ObjectKey, body: Mapping[str, Any], owner: Owner) -> str:
    """Why an object is not ours to write, or nothing."""
    controller = _controller(body)
    if controller is not None and controller.get("uid") == owner.uid:
        return ""
    labels = body["metadata"].get("labels") or {}
    if controller is None and labels.get(naming.SERVICE_LABEL) == owner.name:
        return ""
    if controller is not None:
        whose = f"it belongs to {controller.get('kind')} {controller.get('name')}"
    else:
        entries = body["metadata"].get("managedFields") or ()
        managers = sorted({str(entry.get("manager")) for entry in entries})
        whose = f"it was made by {', '.join(managers) or 'somebody else'}"
    return (
        f"{key} exists already and is not of this service: {whose}; "
        "delete or rename it, or give the FastAPIService another name"
    )
