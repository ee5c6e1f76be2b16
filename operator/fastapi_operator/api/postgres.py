"""``spec.postgres``: the database, its pooler and its migrations."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.compute import Resources
from fastapi_operator.api.model import Arguments, Model, ObjectName, Quantity


class Storage(Model):
    """The database's volume."""

    size: Quantity | None = Field(
        default=None, description="Size of the volume, in bytes. Default: 10Gi.", examples=["50Gi"]
    )
    class_name: ObjectName | None = Field(
        default=None,
        description="StorageClass of the volume. Default: the operator's, else the cluster's.",
        examples=["fast-ssd"],
    )


class Pooler(Model):
    """PgBouncer between the app and the database."""

    instances: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="PgBouncer pods. Default: 2 where the app runs at least two pods, else 1.",
        examples=[2],
    )


class Migrations(Model):
    """A Job that changes the database's schema before a new version serves."""

    command: Arguments | None = Field(
        default=None,
        description="Command that migrates, run in the app's image. "
        "Default: [alembic, upgrade, head].",
        examples=[["alembic", "upgrade", "head"]],
    )
    timeout_seconds: int | None = Field(
        default=None,
        ge=10,
        le=86_400,
        description="Seconds after which a migration is given up. Default: 1800.",
        examples=[600],
    )
    retry: Annotated[str | None, StringConstraints(pattern=r"^[A-Za-z0-9._-]*$", max_length=63)] = (
        Field(
            default=None,
            description="Any new value runs a failed migration once more. Default: none.",
            examples=["2"],
        )
    )


class Postgres(Model):
    """A PostgreSQL that the operator runs and tunes."""

    storage: Storage | None = Field(default=None, description="The volume. Default: derived.")
    resources: Resources | None = Field(
        default=None,
        description="Resources of the database's pod; connections, buffers and pool sizes follow "
        "from them. Default: 1 CPU and 1Gi.",
    )
    deletion_policy: Literal["Retain", "Delete"] | None = Field(
        default=None,
        description="Whether the volume and its credentials stay when the service is deleted. "
        "Default: Retain.",
        examples=["Retain"],
    )
    pooler: Pooler | None = Field(
        default=None, description="PgBouncer between app and database. Default: derived."
    )
    migrations: Migrations | None = Field(
        default=None,
        description="Schema migrations before each new version. Default: none.",
    )
