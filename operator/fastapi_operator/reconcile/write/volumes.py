"""A claim is made once, yet its volume may grow: what a changed wish means for the live claim."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import quantity
from fastapi_operator.reconcile.observe.projection import APPLIED_ANNOTATION
from fastapi_operator.resources.desired import ObjectKey

Body = Mapping[str, Any]


def growth(live: Body, wanted: Body) -> dict[str, Any]:
    """The patch that brings a live claim to its wanted size and notes what was wanted."""
    patch: dict[str, Any] = {
        "metadata": {
            "uid": live["metadata"]["uid"],
            "annotations": {
                APPLIED_ANNOTATION: wanted["metadata"]["annotations"][APPLIED_ANNOTATION]
            },
        }
    }
    if _size(wanted) > _size(live):
        requests = wanted["spec"]["resources"]["requests"]
        patch["spec"] = {"resources": {"requests": {"storage": requests["storage"]}}}
    return patch


def impossible(key: ObjectKey, live: Body, wanted: Body) -> str:
    """Why a live claim cannot become as wanted, and what to do; nothing where it can."""
    if _size(wanted) < _size(live):
        has = live["spec"]["resources"]["requests"]["storage"]
        wish = wanted["spec"]["resources"]["requests"]["storage"]
        return (
            f"{key} has {has} and a volume cannot shrink to {wish}; ask for {has} or more, or "
            "move the data to a new service"
        )
    has, wish = (body["spec"].get("storageClassName") for body in (live, wanted))
    if wish not in (None, has):
        return (
            f"{key} is of StorageClass {has}, which cannot be changed to {wish}; ask for {has}, "
            "or move the data to a new service"
        )
    return ""


def refused_growth(key: ObjectKey, message: str) -> str:
    """What the API server's refusal of a larger size means."""
    return (
        f"{key} cannot grow: {message}; set allowVolumeExpansion on its StorageClass, or ask for "
        "the old size again"
    )


def _size(body: Body) -> int:
    return quantity.size_bytes(body["spec"]["resources"]["requests"]["storage"])
