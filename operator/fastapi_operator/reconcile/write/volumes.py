"""Changes of a PersistentVolumeClaim: it is created once, but its volume may grow."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.reconcile.observe.projection import APPLIED_ANNOTATION
from fastapi_operator.resources.desired import ObjectKey

Body = Mapping[str, Any]


def resize_patch(live: Body, desired: Body) -> dict[str, Any]:
    """Returns the patch that enlarges a live PersistentVolumeClaim and records the new digest."""
    patch: dict[str, Any] = {
        "metadata": {
            "uid": live["metadata"]["uid"],
            "annotations": {
                APPLIED_ANNOTATION: desired["metadata"]["annotations"][APPLIED_ANNOTATION]
            },
        }
    }
    if _size(desired) > _size(live) or _takes_back(live, desired):
        requests = desired["spec"]["resources"]["requests"]
        patch["spec"] = {"resources": {"requests": {"storage": requests["storage"]}}}
    return patch


def why_not_resizable(key: ObjectKey, live: Body, desired: Body) -> str:
    """Returns why a live claim cannot be changed as desired, and the remedy; empty if it can."""
    if _size(desired) < _size(live) and not _takes_back(live, desired):
        current = live["spec"]["resources"]["requests"]["storage"]
        requested = desired["spec"]["resources"]["requests"]["storage"]
        return (
            f"{key} has {current}, and a volume cannot shrink to {requested}; request {current} "
            "or more, or move the data to a new service"
        )
    current, requested = (body["spec"].get("storageClassName") for body in (live, desired))
    if requested not in (None, current):
        return (
            f"{key} has the StorageClass {current}, which cannot be changed to {requested}; "
            f"request {current}, or move the data to a new service"
        )
    return ""


def explain_refused_resize(key: ObjectKey, message: str) -> str:
    """Returns the message for a larger size that the API server refused."""
    return (
        f"{key} cannot grow: {message}; set allowVolumeExpansion on its StorageClass, or request "
        "the old size again"
    )


def _takes_back(live: Body, desired: Body) -> bool:
    """Whether a smaller size than the requested one is still larger than the volume.

    If the storage refused the requested size, Kubernetes accepts such a size instead.
    """
    capacity = (live.get("status", {}).get("capacity") or {}).get("storage")
    if capacity is None:
        return False
    return quantity.size_bytes(capacity) < _size(desired) < _size(live)


def _size(body: Body) -> int:
    return quantity.size_bytes(body["spec"]["resources"]["requests"]["storage"])
