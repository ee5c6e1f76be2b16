"""Profiles: defaults, ceilings and required fields that a platform team sets for many services.

``spec.profile`` selects a profile, else the label ``fastapi-operator.io/profile`` of the namespace.
A profile uses the field names and paths of ``spec``.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from fastapi_operator import quantity
from fastapi_operator.api import fields
from fastapi_operator.api.compute import Resources, Traffic
from fastapi_operator.api.documents import read_documents
from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.model import Labels, LocalReference, Model, ObjectName, Quantity
from fastapi_operator.api.observability import Observability
from fastapi_operator.api.part_settings import Parts
from fastapi_operator.api.postgres import Postgres
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.redis import Queue, Redis
from fastapi_operator.api.scaling import Scaling
from fastapi_operator.api.server import Server
from fastapi_operator.api.service import Spec
from fastapi_operator.api.tuning import Tuning
from fastapi_operator.api.workload import Availability, Network, Rollout

# Sections whose presence creates a part. A default below them applies only if the service has them.
OPTIONAL_SECTIONS = frozenset(
    {
        "redis",
        "queue",
        "postgres",
        "exposure",
        "exposure.gateway",
        "exposure.ingress",
        "exposure.loadBalancer",
        "exposure.tls",
    }
)


@dataclass(frozen=True)
class Bound:
    """The fields that a ceiling limits, in addition to the numbers that declare it.

    Attributes:
        fields: Fields of the spec that must not exceed it.
        amount: Converts a value to a number.
    """

    fields: tuple[str, ...]
    amount: Callable[[str | int], int]


BOUNDS: Mapping[str, Bound] = {
    "scaling.maxReplicas": Bound(
        ("scaling.maxReplicas", "scaling.minReplicas", "scaling.replicas"), int
    ),
    "proxy.replicas": Bound(("proxy.replicas",), int),
    "resources.limits.cpu": Bound(
        ("resources.limits.cpu", "resources.requests.cpu"), quantity.millicores
    ),
    "resources.limits.memory": Bound(
        ("resources.limits.memory", "resources.requests.memory", "tuning.resize.maxMemory"),
        quantity.size_bytes,
    ),
    "redis.memory": Bound(
        ("redis.memory", "parts.cache.resources.limits.memory"), quantity.size_bytes
    ),
    "redis.persistence.size": Bound(("redis.persistence.size",), quantity.size_bytes),
    "queue.memory": Bound(
        ("queue.memory", "parts.queue.resources.limits.memory"), quantity.size_bytes
    ),
    "queue.persistence.size": Bound(("queue.persistence.size",), quantity.size_bytes),
    "postgres.resources.limits.cpu": Bound(
        ("postgres.resources.limits.cpu", "postgres.resources.requests.cpu"), quantity.millicores
    ),
    "postgres.resources.limits.memory": Bound(
        ("postgres.resources.limits.memory", "postgres.resources.requests.memory"),
        quantity.size_bytes,
    ),
    "postgres.storage.size": Bound(("postgres.storage.size",), quantity.size_bytes),
    "postgres.backup.storage.size": Bound(("postgres.backup.storage.size",), quantity.size_bytes),
    "postgres.maxConnections": Bound(("postgres.maxConnections",), int),
}


class Defaults(Model):
    """Values for fields that a service leaves out, with the names of its spec."""

    image_pull_policy: str | None = Field(
        default=None,
        pattern="^(Always|IfNotPresent|Never)$",
        description="When the kubelet pulls the app's image.",
        examples=["IfNotPresent"],
    )
    image_pull_secrets: Annotated[tuple[LocalReference, ...], Field(max_length=16)] | None = Field(
        default=None,
        description="Secrets with registry credentials, which must exist in each namespace.",
    )
    server: Server | None = Field(default=None, description="ASGI server.")
    resources: Resources | None = Field(default=None, description="Resources of each app pod.")
    traffic: Traffic | None = Field(default=None, description="Expected load.")
    scaling: Scaling | None = Field(default=None, description="Number of pods.")
    redis: Redis | None = Field(default=None, description="Cache, for services with this section.")
    queue: Queue | None = Field(default=None, description="Broker, for services with this section.")
    postgres: Postgres | None = Field(
        default=None, description="Database, for services with this section."
    )
    proxy: Proxy | None = Field(default=None, description="Reverse proxy.")
    exposure: Exposure | None = Field(
        default=None,
        description="Exposure, for services with this section. Each of gateway, ingress, "
        "loadBalancer and tls applies only to services with that section.",
    )
    observability: Observability | None = Field(
        default=None, description="Metrics, objectives, logs and traces."
    )
    availability: Availability | None = Field(default=None, description="Placement of the pods.")
    rollout: Rollout | None = Field(default=None, description="Rolling update of the app.")
    tuning: Tuning | None = Field(default=None, description="Measurements of the running service.")
    network: Network | None = Field(default=None, description="NetworkPolicies.")
    parts: Parts | None = Field(
        default=None,
        description="Metadata, resources and placement of parts, for services that have them.",
    )


def _check_path(path: str) -> str:
    fields.field_at(Spec, path)
    return path


def _check_ceiling_path(path: str) -> str:
    if path not in BOUNDS:
        raise ValueError(f"{path} cannot have a ceiling; supported are {', '.join(BOUNDS)}")
    return path


def _check_amounts(ceilings: dict[str, str | int]) -> dict[str, str | int]:
    for path, amount in ceilings.items():
        if BOUNDS[path].amount is int and not isinstance(amount, int):
            raise ValueError(f"{path}: {amount!r} must be an integer")
    return ceilings


class Profile(Model):
    """One profile. Precedence: the service, then the profile, then derived values."""

    description: str = Field(
        default="", max_length=256, description="Purpose of the profile, in one sentence."
    )
    defaults: Defaults = Field(
        default=Defaults(),
        description="Values for fields that a service leaves out. A default that contradicts the "
        "service is ignored. Mappings are merged; lists are replaced.",
    )
    ceilings: Annotated[
        dict[Annotated[str, AfterValidator(_check_ceiling_path)], Quantity],
        AfterValidator(_check_amounts),
    ] = Field(
        default={},
        description=f"Largest values, set or derived, of these fields: {', '.join(BOUNDS)}.",
        examples=[{"scaling.maxReplicas": 20, "resources.limits.memory": "4Gi"}],
    )
    required: tuple[Annotated[str, AfterValidator(_check_path)], ...] = Field(
        default=(),
        description="Paths of fields that a service must have. A field below redis, queue, "
        "postgres or exposure is required only if the service has that section.",
        examples=[["exposure.tls", "postgres.backup"]],
    )
    labels: Labels = Field(
        default={},
        description="Labels of every object and pod, for example for cost allocation.",
        examples=[{"cost-center": "4711"}],
    )
    cpu_limits: bool = Field(
        default=False,
        description="Whether containers get a CPU limit if the service sets none, as some "
        "ResourceQuotas require. The limit is one core for each worker and for each other "
        "container, or the request if that is larger.",
        examples=[True],
    )
    storage_class: ObjectName | None = Field(
        default=None,
        description="StorageClass of volumes. If null, the operator's storageClass is used.",
        examples=["fast-ssd"],
    )
    image_registry: (
        Annotated[
            str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.:/_-]*[a-z0-9]$", max_length=253)
        ]
        | None
    ) = Field(
        default=None,
        description="Registry, optionally with a path, of the operands' images. If null, the "
        "registries of the operator's images are used.",
        examples=["mirror.example.com/hub"],
    )


ProfileName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
]
NO_PROFILE = Profile()


@functools.cache
def shipped() -> Mapping[str, Profile]:
    """Returns the included profiles from ``profiles.yaml`` in this package."""
    (document,) = read_documents(shipped_text())
    return {
        name: Profile.model_validate(profile, strict=False)
        for name, profile in document.body.items()
    }


def shipped_text() -> str:
    """Returns the text of the file with the included profiles."""
    return Path(__file__).with_name("profiles.yaml").read_text()
