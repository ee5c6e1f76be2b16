"""``spec.redis`` and ``spec.queue``: a cache that may evict keys, and a broker that must not."""

from typing import Literal

from pydantic import Field

from fastapi_operator.api.model import Model, ObjectName, Quantity, SecretKey
from fastapi_operator.api.storage import DeletionPolicy, Storage

Mode = Literal["Managed", "External"]
Engine = Literal["Redis", "Valkey"]


class StoreSecretKeys(Model):
    """The keys of a Secret with the parts of a URL."""

    host: SecretKey | None = Field(
        default=None, description="Key of the host. Default: none.", examples=["host"]
    )
    port: SecretKey | None = Field(
        default=None, description="Key of the port. Default: none.", examples=["port"]
    )
    name: SecretKey | None = Field(
        default=None,
        description="Key of the database's number, or of the virtual host of a broker. "
        "Default: none.",
        examples=["database"],
    )
    username: SecretKey | None = Field(
        default=None, description="Key of the user. Default: none.", examples=["username"]
    )
    password: SecretKey | None = Field(
        default=None, description="Key of the password. Default: none.", examples=["password"]
    )


class StoreSecret(Model):
    """The address and credentials of an external server in a Secret of the service's namespace."""

    name: ObjectName = Field(description="Name of the Secret.", examples=["shop-redis"])
    key: SecretKey | None = Field(
        default=None,
        description="Key of the URL. Default: url, or none if keys is set.",
        examples=["url"],
    )
    keys: StoreSecretKeys | None = Field(
        default=None,
        description="Keys of the parts of the URL, for an app that reads these. Default: none.",
    )


class _Store(Model):
    """Fields that the cache and the queue have in common."""

    mode: Mode | None = Field(
        default=None,
        description="Who runs the server. Managed is run and tuned by the operator. External is "
        "reached by the URL in secretRef. Default: Managed.",
        examples=["Managed"],
    )
    engine: Engine | None = Field(
        default=None,
        description="Software of a managed server. Default: Redis.",
        examples=["Redis"],
    )

    @property
    def managed(self) -> bool:
        """Whether the operator runs the server."""
        return self.mode != "External"


class Redis(_Store):
    """A cache. It evicts keys when it is full, and loses them at a restart without persistence."""

    memory: Quantity | None = Field(
        default=None,
        description="Memory limit of the cache's pod, in bytes. Data may use three quarters of it, "
        "or six tenths with persistence. Default: 256Mi.",
        examples=["512Mi"],
    )
    persistence: Storage | None = Field(
        default=None,
        description="Volume that keeps the data over a restart; write {} for a derived size. "
        "Default: none.",
        examples=[{"size": "2Gi"}],
    )
    secret_ref: StoreSecret | None = Field(
        default=None,
        description="With mode External: Secret with the URL (redis:// or rediss://). "
        "Default: none.",
    )
    max_clients: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="With mode External: number of connections that this service may use. "
        "Default: 1000.",
        examples=[1000],
    )


class Queue(_Store):
    """A broker for background work. It never evicts messages, and logs every change to a volume."""

    memory: Quantity | None = Field(
        default=None,
        description="Memory limit of the queue's pod, in bytes. Messages may use half of it, since "
        "rewriting the log may need as much again. Default: 256Mi.",
        examples=["512Mi"],
    )
    persistence: Storage | None = Field(
        default=None,
        description="Volume of the log. Default: derived.",
        examples=[{"size": "2Gi"}],
    )
    deletion_policy: DeletionPolicy | None = Field(
        default=None,
        description="Whether the volume and the credentials stay when the service is deleted. "
        "Default: Retain.",
        examples=["Retain"],
    )
    secret_ref: StoreSecret | None = Field(
        default=None,
        description="With mode External: Secret with the URL (redis://, rediss:// or amqp://). "
        "Default: none.",
    )
