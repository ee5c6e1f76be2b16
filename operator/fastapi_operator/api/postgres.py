"""``spec.postgres``: the database, its pooler and its migrations."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.compute import Resources
from fastapi_operator.api.model import (
    Arguments,
    Model,
    ObjectName,
    PodPart,
    SecretKey,
    SecretValue,
)
from fastapi_operator.api.schedule import CronExpression
from fastapi_operator.api.storage import DeletionPolicy, Storage


class Pooler(Model):
    """PgBouncer between the app and the database."""

    engine: Literal["PgBouncer", "None"] | None = Field(
        default=None,
        description="The pooler's program; None connects the app to the database, and then only "
        "the app's own pools keep the connection budget. Default: PgBouncer.",
        examples=["PgBouncer"],
    )
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


class Backup(Model):
    """Dumps of a managed database on a volume of their own."""

    schedule: CronExpression | None = Field(
        default=None,
        description="When to dump, as five cron fields in UTC. Default: 17 2 * * *.",
        examples=["17 2 * * *"],
    )
    keep: int | None = Field(
        default=None,
        ge=1,
        le=365,
        description="Number of dumps that are kept. Default: 7.",
        examples=[7],
    )
    storage: Storage | None = Field(
        default=None, description="The volume of the dumps. Default: as large as the database's."
    )


class RestoreFrom(Model):
    """A dump from which a new, empty database is filled."""

    claim: ObjectName = Field(
        description="PersistentVolumeClaim with dumps, as spec.postgres.backup writes them.",
        examples=["shop-postgres-backup"],
    )
    file: Annotated[
        str | None, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)
    ] = Field(
        default=None,
        description="Name of the dump. Default: the newest.",
        examples=["app-20261122T021700Z.dump"],
    )


class SecretKeys(Model):
    """The keys of a Secret with database credentials."""

    host: SecretKey | None = Field(
        default=None, description="Key of the host. Default: host.", examples=["host"]
    )
    port: SecretKey | None = Field(
        default=None,
        description="Key of the port. Default: none, and the port is 5432.",
        examples=["port"],
    )
    database: SecretKey | None = Field(
        default=None,
        description="Key of the database's name. Default: dbname.",
        examples=["dbname"],
    )
    username: SecretKey | None = Field(
        default=None, description="Key of the role. Default: username.", examples=["username"]
    )
    password: SecretKey | None = Field(
        default=None, description="Key of the password. Default: password.", examples=["password"]
    )


class DatabaseSecret(Model):
    """Credentials of an external database in a Secret of the service's namespace."""

    name: ObjectName = Field(description="Name of the Secret.", examples=["shop-database"])
    keys: SecretKeys | None = Field(
        default=None,
        description="Its keys. Default: host, dbname, username and password.",
    )


class DatabaseTls(Model):
    """TLS to an external database."""

    mode: Literal["Disable", "Require", "VerifyCA", "VerifyFull"] | None = Field(
        default=None,
        description="What is asked of the server: Require encrypts and believes any certificate, "
        "VerifyCA checks its authority, VerifyFull its host name too. Default: VerifyFull where "
        "caRef is given, else Require.",
        examples=["VerifyFull"],
    )
    ca_ref: SecretValue | None = Field(
        default=None,
        description="Secret with the certificate of the authority, in PEM; its default key is "
        "ca.crt. Default: none.",
    )


class CloudNativePG(Model):
    """A replicated database run by CloudNativePG."""

    instances: int | None = Field(
        default=None,
        ge=1,
        le=9,
        description="Database pods, one of which takes writes. Default: 3.",
        examples=[3],
    )
    backup: PodPart | None = Field(
        default=None,
        description="The Cluster's spec.backup, passed on as it stands. Default: none.",
        examples=[{"retentionPolicy": "30d", "volumeSnapshot": {"className": "csi-snapshots"}}],
    )


class Postgres(Model):
    """PostgreSQL: run and tuned here, run by CloudNativePG, or external."""

    mode: Literal["Managed", "CloudNativePG", "External"] | None = Field(
        default=None,
        description="Managed is a single instance run here; CloudNativePG asks that operator for "
        "a Cluster; External is reached by the credentials in secretRef. Default: Managed.",
        examples=["Managed"],
    )
    version: Annotated[str | None, StringConstraints(pattern=r"^[1-9][0-9]$", max_length=2)] = (
        Field(
            default=None,
            description="With mode Managed: the major version that the data was made with, quoted. "
            "An operator that runs another one then leaves the database as it is and says so. "
            "Default: the operator's.",
            examples=["18"],
        )
    )
    driver: Literal["Async", "Blocking"] | None = Field(
        default=None,
        description="How the app's code reaches the database: Async awaits on the event loop "
        "(asyncpg); Blocking holds a thread for each query (psycopg2, def endpoints), and there "
        "are then no more threads than connections. Default: Async.",
        examples=["Async"],
    )
    storage: Storage | None = Field(
        default=None, description="The volume of the data. Default: 10Gi."
    )
    resources: Resources | None = Field(
        default=None,
        description="Resources of the database's pod; connections, buffers and pool sizes follow "
        "from them. Default: 1 CPU and 1Gi.",
    )
    backup: Backup | None = Field(
        default=None,
        description="Scheduled dumps of a managed database; write {} for a nightly one. "
        "Default: none, which is a standing warning.",
    )
    restore_from: RestoreFrom | None = Field(
        default=None,
        description="Fills a new managed database; one that has data is left alone. Default: none.",
    )
    deletion_policy: DeletionPolicy | None = Field(
        default=None,
        description="Whether the volumes and credentials stay when the service is deleted. "
        "Default: Retain.",
        examples=["Retain"],
    )
    cloud_native_pg: CloudNativePG | None = Field(
        default=None,
        alias="cloudNativePG",
        description="With mode CloudNativePG: what is passed on to it. Default: derived.",
    )
    secret_ref: DatabaseSecret | None = Field(
        default=None,
        description="With mode External: the credentials of the app's role. Default: none.",
    )
    migration_secret_ref: DatabaseSecret | None = Field(
        default=None,
        description="With mode External: the credentials of the schema's owner, for migrations. "
        "Default: those of secretRef.",
    )
    max_connections: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="With mode External: connections that the database grants this service; "
        "every pool is sized from it, and explain shows who gets how many. Default: none, the "
        "field is required.",
        examples=[100],
    )
    tls: DatabaseTls | None = Field(
        default=None,
        description="With mode External: TLS from PgBouncer and migrations to the database. "
        "Default: Require.",
    )
    pooler: Pooler | None = Field(
        default=None,
        description="PgBouncer, in transaction mode, between the database and app, background and "
        "schedules; migrations go past it. Default: derived.",
    )
    migrations: Migrations | None = Field(
        default=None,
        description="A Job that migrates the schema before a new image serves; until it has "
        "succeeded, and when it fails, the old version goes on. Default: none.",
    )
