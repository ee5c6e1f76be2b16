"""Volumes of managed parts, and what becomes of them with the service."""

from typing import Literal

from pydantic import Field

from fastapi_operator.api.model import Model, ObjectName, Quantity

DeletionPolicy = Literal["Retain", "Delete"]


class Storage(Model):
    """A volume that the operator claims."""

    size: Quantity | None = Field(
        default=None,
        description="Size of the volume, in bytes; it may grow where the StorageClass allows it, "
        "never shrink. Default: derived.",
        examples=["50Gi"],
    )
    class_name: ObjectName | None = Field(
        default=None,
        description="StorageClass of the volume. Default: the operator's, else the cluster's.",
        examples=["fast-ssd"],
    )
