"""Volumes of managed parts, and whether they stay when the service is deleted."""

from typing import Literal

from pydantic import Field

from fastapi_operator.api.model import Model, ObjectName, Quantity

DeletionPolicy = Literal["Retain", "Delete"]


class Storage(Model):
    """A volume that the operator claims."""

    size: Quantity | None = Field(
        default=None,
        description="Size of the volume, in bytes. It may grow if the StorageClass allows it, and "
        "cannot shrink. Default: derived.",
        examples=["50Gi"],
    )
    class_name: ObjectName | None = Field(
        default=None,
        description="StorageClass of the volume. Default: the operator's, else the cluster's.",
        examples=["fast-ssd"],
    )
