"""The ConfigMap in which the operator remembers facts about a service."""

from collections.abc import Mapping
from typing import Any

from fastapi_operator import naming
from fastapi_operator.parts import Part
from fastapi_operator.reconcile.observe.identity import Owner
from fastapi_operator.resources.desired import ObjectKey


def record_body(
    key: ObjectKey, owner: Owner, data: Mapping[str, str], *, part: Part = Part.APP
) -> dict[str, Any]:
    """Returns the ConfigMap.

    Args:
        key: Its identity.
        owner: The service.
        data: Its data.
        part: The part of the service that it is about.
    """
    return {
        "apiVersion": "v1",
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": naming.labels(owner.name, part),
            "ownerReferences": [owner.reference],
        },
        "data": dict(data),
    }
