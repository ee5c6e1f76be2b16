"""Changes of a volume that has data."""

from typing import Any

from fastapi_operator.reconcile.observe.projection import APPLIED_ANNOTATION
from fastapi_operator.reconcile.write import volumes
from fastapi_operator.resources.desired import ObjectKey

KEY = ObjectKey("", "PersistentVolumeClaim", "default", "shop-postgres-data")


def claim(size: str, class_name: str | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"resources": {"requests": {"storage": size}}}
    if class_name:
        spec["storageClassName"] = class_name
    return {"metadata": {"uid": "u1", "annotations": {APPLIED_ANNOTATION: size}}, "spec": spec}


def test_a_larger_size_is_requested_and_recorded() -> None:
    patch = volumes.resize_patch(claim("1Gi", "fast"), claim("2Gi"))
    assert patch["spec"] == {"resources": {"requests": {"storage": "2Gi"}}}
    assert patch["metadata"] == {"uid": "u1", "annotations": {APPLIED_ANNOTATION: "2Gi"}}


def test_an_equal_size_in_another_unit_is_only_recorded() -> None:
    assert "spec" not in volumes.resize_patch(claim("1Gi"), claim("1024Mi"))


def test_a_smaller_size_and_another_class_are_refused() -> None:
    assert volumes.why_not_resizable(KEY, claim("1Gi"), claim("1Gi")) == ""
    assert "cannot shrink to 1Gi" in volumes.why_not_resizable(KEY, claim("2Gi"), claim("1Gi"))
    found_text = volumes.why_not_resizable(KEY, claim("1Gi", "slow"), claim("1Gi", "fast"))
    assert "has the StorageClass slow, which cannot be changed to fast" in found_text


def test_a_refused_size_may_become_smaller_but_not_as_small_as_the_volume() -> None:
    live = {**claim("4Gi"), "status": {"capacity": {"storage": "1Gi"}}}
    assert volumes.why_not_resizable(KEY, live, claim("2Gi")) == ""
    patch = volumes.resize_patch(live, claim("2Gi"))
    assert patch["spec"] == {"resources": {"requests": {"storage": "2Gi"}}}
    assert "cannot shrink to 1Gi" in volumes.why_not_resizable(KEY, live, claim("1Gi"))
