"""``spec.connections``: under which names, and how, the app's processes reach their stores."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.model import Model

# A name that every shell and every language can read.
VariableName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", min_length=1, max_length=128)
]
# The part of a URL's scheme after the plus sign.
Driver = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]

StoreSource = Literal["Host", "Port", "Name", "Username", "Password", "Url"]
CacheSource = Literal[StoreSource, "PoolSize"]
DatabaseSource = Literal[CacheSource, "DirectUrl"]


class DirectConnections(Model):
    """Connections past the pooler, for what it cannot do: LISTEN, session locks."""

    max_connections: int = Field(
        ge=1,
        le=1000,
        description="Connections that all processes together open with DATABASE_DIRECT_URL at "
        "peak, the pods that a rollout adds included. The connection budget reserves them.",
        examples=[4],
    )
    driver: Driver | None = Field(
        default=None,
        description="Driver in the scheme of DATABASE_DIRECT_URL, as database.driver. Most "
        "libraries that LISTEN take a URL without one. Default: none, and the scheme is "
        "postgresql://.",
        examples=["psycopg"],
    )
    host: Annotated[str | None, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=253)] = (
        Field(
            default=None,
            description="With mode External: host of the database itself, if secretRef has the "
            "host of a pooler. Default: the host of secretRef.",
            examples=["db.example.com"],
        )
    )
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="With mode External: port of the database itself. Default: the port of "
        "secretRef, or 5432 if host is set.",
        examples=[5432],
    )


class DatabaseConnections(Model):
    """How the processes of the image connect to the database."""

    driver: Driver | None = Field(
        default=None,
        description="Driver in the scheme of DATABASE_URL, as SQLAlchemy names it: asyncpg makes "
        "it postgresql+asyncpg://. Default: none, and the scheme is postgresql://.",
        examples=["asyncpg"],
    )
    direct: DirectConnections | None = Field(
        default=None,
        description="DATABASE_DIRECT_URL, which bypasses the pooler with the role of the app. "
        "Default: none.",
    )
    env: Annotated[dict[VariableName, DatabaseSource], Field(max_length=64)] | None = Field(
        default=None,
        description="The app's own names of variables, and the value that each has. Every process "
        "gets its own values: a migration has another user than the app. Default: none.",
        examples=[{"POSTGRES_SERVER": "Host", "POSTGRES_USER": "Username", "DB_URI": "Url"}],
    )


class _StoreConnections(Model):
    """Fields that the cache and the queue have in common."""

    user: Literal["Own", "Default"] | None = Field(
        default=None,
        description="User of a managed server. Default is the user of clients that know only a "
        "password; it has the same rights. Default: Own.",
        examples=["Default"],
    )


class CacheConnections(_StoreConnections):
    """How the processes of the image connect to the cache."""

    env: Annotated[dict[VariableName, CacheSource], Field(max_length=64)] | None = Field(
        default=None,
        description="The app's own names of variables, and the value that each has. Default: none.",
        examples=[{"CACHE_HOST": "Host", "CACHE_PASSWORD": "Password"}],
    )


class QueueConnections(_StoreConnections):
    """How the processes of the image connect to the queue."""

    env: Annotated[dict[VariableName, StoreSource], Field(max_length=64)] | None = Field(
        default=None,
        description="The app's own names of variables, and the value that each has. Default: none.",
        examples=[{"CELERY_BROKER_URL": "Url"}],
    )


class Connections(Model):
    """The connections of all processes of the image: app, migration, background and schedules."""

    database: DatabaseConnections | None = Field(
        default=None, description="Connections to spec.postgres. Default: derived."
    )
    redis: CacheConnections | None = Field(
        default=None, description="Connections to spec.redis. Default: derived."
    )
    queue: QueueConnections | None = Field(
        default=None, description="Connections to spec.queue. Default: derived."
    )
