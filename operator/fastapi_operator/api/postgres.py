"""``spec.postgres``: the database, its pooler and its migrations."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.compute import Resources
from fastapi_operator.api.model import (
    Arguments,
    Model,
    Mounts,
    NamedParts,
    ObjectName,
    PodPart,
    SecretKey,
    SecretValue,
    Variables,
)
from fastapi_operator.api.schedule import CronExpression
from fastapi_operator.api.storage import DeletionPolicy, Storage


class Pooler(Model):
    """PgBouncer between the app and the database."""

    engine: Literal["PgBouncer", "None"] | None = Field(
        default=None,
        description="Pooler software. None connects the app directly to the database. Then only "
        "the pools of the app enforce the connection budget. Default: PgBouncer.",
        examples=["PgBouncer"],
    )
    instances: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="Number of PgBouncer pods. Default: 2 if the app runs at least two pods, else "
        "1.",
        examples=[2],
    )


class Migrations(Model):
    """A Job that migrates the database's schema before a new version is rolled out."""

    command: Arguments | None = Field(
        default=None,
        description="Command of the migration, run in the app's image. "
        "Default: [alembic, upgrade, head].",
        examples=[["alembic", "upgrade", "head"]],
    )
    timeout_seconds: int | None = Field(
        default=None,
        ge=10,
        le=86_400,
        description="Seconds after which a migration is stopped and counts as failed. Default: "
        "1800.",
        examples=[600],
    )
    lock_timeout_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Seconds that other sessions may wait behind a statement of the migration that "
        "itself waits for a lock. Then the statement is cancelled, and the migration fails. "
        "Concurrent index builds and advisory locks are not limited. 0 sets no limit. Default: 5.",
        examples=[5],
    )
    retry: Annotated[str | None, StringConstraints(pattern=r"^[A-Za-z0-9._-]*$", max_length=63)] = (
        Field(
            default=None,
            description="A new value runs a failed migration again. Default: none.",
            examples=["2"],
        )
    )
    env: Variables | None = Field(
        default=None,
        description="Environment variables of the migration in addition to spec.env, as in a "
        "Pod's container. Default: none.",
        examples=[[{"name": "STATEMENTS", "value": "verbose"}]],
    )
    resources: Resources | None = Field(
        default=None,
        description="Resources of the migration's container. Default: the memory of an app pod, "
        "and 100m CPU.",
    )
    volumes: NamedParts | None = Field(
        default=None,
        description="Volumes of the migration in addition to spec.volumes, as in a Pod. "
        "Default: none.",
        examples=[[{"name": "seed", "configMap": {"name": "shop-seed"}}]],
    )
    volume_mounts: Mounts | None = Field(
        default=None,
        description="Volume mounts of the migration in addition to spec.volumeMounts, as in a "
        "Pod's container. Default: none.",
        examples=[[{"name": "seed", "mountPath": "/seed", "readOnly": True}]],
    )


class Backup(Model):
    """Scheduled dumps of a managed database on a separate volume."""

    schedule: CronExpression | None = Field(
        default=None,
        description="Times of the dumps, as five cron fields in UTC. Default: 17 2 * * *.",
        examples=["17 2 * * *"],
    )
    keep: int | None = Field(
        default=None,
        ge=1,
        le=365,
        description="Number of dumps to keep. Default: 7.",
        examples=[7],
    )
    storage: Storage | None = Field(
        default=None, description="Volume of the dumps. Default: the size of the database's volume."
    )


class RestoreFrom(Model):
    """A dump that fills a new, empty database."""

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
        description="Key of the database name. Default: dbname.",
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
        description="Keys of the Secret. Default: host, dbname, username and password.",
    )


class DatabaseTls(Model):
    """TLS to an external database."""

    mode: Literal["Disable", "Require", "VerifyCA", "VerifyFull"] | None = Field(
        default=None,
        description="Verification of the server. Require encrypts and accepts any certificate, "
        "VerifyCA checks the certificate authority, VerifyFull also the host name. "
        "Default: VerifyFull if caRef is set, else Require.",
        examples=["VerifyFull"],
    )
    ca_ref: SecretValue | None = Field(
        default=None,
        description="Secret with the CA certificate in PEM, by default under the key ca.crt. "
        "Default: none.",
    )


class CloudNativePG(Model):
    """A replicated database run by CloudNativePG."""

    instances: int | None = Field(
        default=None,
        ge=1,
        le=9,
        description="Number of database pods, one of which accepts writes. Default: 3.",
        examples=[3],
    )
    durability: Literal["Required", "Preferred", "None"] | None = Field(
        default=None,
        description="Whether a commit waits until a replica has it too. Required always waits: "
        "writes stop while no replica is connected. Preferred does not wait then, and None never "
        "waits: a failover can lose the newest commits. Default: Required with at least three "
        "instances, Preferred with two.",
        examples=["Required"],
    )
    backup: PodPart | None = Field(
        default=None,
        description="The Cluster's spec.backup, copied unchanged. Default: none.",
        examples=[{"retentionPolicy": "30d", "volumeSnapshot": {"className": "csi-snapshots"}}],
    )


class Postgres(Model):
    """PostgreSQL: run by the operator, run by CloudNativePG, or external."""

    mode: Literal["Managed", "CloudNativePG", "External"] | None = Field(
        default=None,
        description="Who runs the database. Managed is a single instance that the operator runs. "
        "CloudNativePG is a Cluster of that operator. External is reached with the credentials in "
        "secretRef. Default: Managed.",
        examples=["Managed"],
    )
    version: Annotated[str | None, StringConstraints(pattern=r"^[1-9][0-9]$", max_length=2)] = (
        Field(
            default=None,
            description="With mode Managed: major version of the data, quoted. If the operator "
            "runs another version, it leaves the database unchanged and reports it. Default: the "
            "operator's.",
            examples=["18"],
        )
    )
    driver: Literal["Async", "Blocking"] | None = Field(
        default=None,
        description="Kind of database driver in the app. Async awaits on the event loop (asyncpg). "
        "Blocking holds a thread for each query (psycopg2, def endpoints), so the threads are "
        "limited to the number of connections. Default: Blocking if connections.database.driver is "
        "psycopg2 or pg8000, else Async.",
        examples=["Async"],
    )
    storage: Storage | None = Field(default=None, description="Volume of the data. Default: 10Gi.")
    resources: Resources | None = Field(
        default=None,
        description="Resources of the database's pod. Connections, buffers and pool sizes are "
        "derived from them. Default: 1 CPU and 1Gi.",
    )
    backup: Backup | None = Field(
        default=None,
        description="Scheduled dumps of a managed database; write {} for a nightly dump. "
        "Default: none, with a permanent warning.",
    )
    restore_from: RestoreFrom | None = Field(
        default=None,
        description="Dump that fills a new managed database. It is ignored if the database has "
        "data. Default: none.",
    )
    deletion_policy: DeletionPolicy | None = Field(
        default=None,
        description="Whether the volumes and the credentials stay when the service is deleted. "
        "Default: Retain.",
        examples=["Retain"],
    )
    cloud_native_pg: CloudNativePG | None = Field(
        default=None,
        alias="cloudNativePG",
        description="With mode CloudNativePG: settings of its Cluster. Default: derived.",
    )
    secret_ref: DatabaseSecret | None = Field(
        default=None,
        description="With mode External: credentials of the app's role. Default: none.",
    )
    migration_secret_ref: DatabaseSecret | None = Field(
        default=None,
        description="With mode External: credentials of the schema's owner, for migrations. "
        "Default: those of secretRef.",
    )
    max_connections: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="With mode External: number of connections that this service may use. Every "
        "pool size is derived from it; explain shows the distribution. Default: none, the field is "
        "required.",
        examples=[100],
    )
    tls: DatabaseTls | None = Field(
        default=None,
        description="With mode External: TLS from PgBouncer and migrations to the database. "
        "Default: Require.",
    )
    pooler: Pooler | None = Field(
        default=None,
        description="PgBouncer in transaction mode, between the database and the app, background "
        "and schedules. Migrations bypass it. Default: derived.",
    )
    migrations: Migrations | None = Field(
        default=None,
        description="Job that migrates the schema before a new image is rolled out. Until it "
        "succeeds, the old version continues to serve. Default: none.",
    )
