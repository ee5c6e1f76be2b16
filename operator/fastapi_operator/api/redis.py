"""``spec.redis`` and ``spec.queue``: a cache that forgets, and a broker that must not."""

from typing import Literal

from pydantic import Field

from fastapi_operator.api.model import Model, Quantity, SecretValue
from fastapi_operator.api.storage import DeletionPolicy, Storage

Mode = Literal["Managed", "External"]
Engine = Literal["Redis", "Valkey"]


class _Store(Model):
    """What cache and queue have in common: who runs the server, and which one."""

    mode: Mode | None = Field(
        default=None,
        description="Managed is run and tuned here; External is reached by the URL in secretRef. "
        "Default: Managed.",
        examples=["Managed"],
    )
    engine: Engine | None = Field(
        default=None,
        description="The managed server's program. Default: Redis.",
        examples=["Redis"],
    )

    @property
    def managed(self) -> bool:
        """Whether the operator runs the server."""
        return self.mode != "External"


class Redis(_Store):
    """A cache: it evicts when full, and keeps nothing over a restart unless asked."""

    memory: Quantity | None = Field(
        default=None,
        description="Memory limit of the cache's pod, in bytes; three quarters hold data, with "
        "persistence six tenths. Default: 256Mi.",
        examples=["512Mi"],
    )
    persistence: Storage | None = Field(
        default=None,
        description="A volume that keeps the cache warm over a restart; write {} for one of "
        "derived size. Default: none.",
        examples=[{"size": "2Gi"}],
    )
    secret_ref: SecretValue | None = Field(
        default=None,
        description="With mode External: where the URL (redis:// or rediss://) stands. "
        "Default: none.",
    )
    max_clients: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="With mode External: connections that the server grants this service. "
        "Default: 1000.",
        examples=[1000],
    )


class Queue(_Store):
    """A broker for background work: it never evicts, and writes every change to its volume."""

    memory: Quantity | None = Field(
        default=None,
        description="Memory limit of the queue's pod, in bytes; half holds messages, since "
        "rewriting the log may need as much again. Default: 256Mi.",
        examples=["512Mi"],
    )
    persistence: Storage | None = Field(
        default=None,
        description="The volume of the log. Default: derived.",
        examples=[{"size": "2Gi"}],
    )
    deletion_policy: DeletionPolicy | None = Field(
        default=None,
        description="Whether the volume and its credentials stay when the service is deleted. "
        "Default: Retain.",
        examples=["Retain"],
    )
    secret_ref: SecretValue | None = Field(
        default=None,
        description="With mode External: where the URL (redis://, rediss:// or amqp://) stands. "
        "Default: none.",
    )
