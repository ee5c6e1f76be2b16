"""Profiles: what a platform team decides once for the services of many teams.

A profile is chosen by ``spec.profile``, else by the label ``fastapi-operator.io/profile`` of the
namespace. Its defaults and paths are those of ``spec``, so that nobody learns a second vocabulary.
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
from fastapi_operator.api.postgres import Postgres
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.redis import Queue, Redis
from fastapi_operator.api.scaling import Scaling
from fastapi_operator.api.server import Server
from fastapi_operator.api.service import Spec
from fastapi_operator.api.workload import Availability, Network, Rollout

# Sections that mean "I want one": a default below them reaches services that have them.
ASKED_FOR = frozenset(
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
    """The values that a ceiling bounds, besides the numbers that declare it.

    Attributes:
        fields: Fields of the spec, none of which may be above it.
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
        ("resources.limits.memory", "resources.requests.memory"), quantity.size_bytes
    ),
    "redis.memory": Bound(("redis.memory",), quantity.size_bytes),
    "redis.persistence.size": Bound(("redis.persistence.size",), quantity.size_bytes),
    "queue.memory": Bound(("queue.memory",), quantity.size_bytes),
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
    """Values for what a service leaves out, in the words of its spec."""

    image_pull_policy: str | None = Field(
        default=None,
        pattern="^(Always|IfNotPresent|Never)$",
        description="When the kubelet pulls the app's image.",
        examples=["IfNotPresent"],
    )
    image_pull_secrets: Annotated[tuple[LocalReference, ...], Field(max_length=16)] | None = Field(
        default=None, description="Secrets with registry credentials, in each namespace."
    )
    server: Server | None = Field(default=None, description="The ASGI server.")
    resources: Resources | None = Field(default=None, description="Resources of each app pod.")
    traffic: Traffic | None = Field(default=None, description="What is known of the load.")
    scaling: Scaling | None = Field(default=None, description="How many pods.")
    redis: Redis | None = Field(default=None, description="Of services that have a cache.")
    queue: Queue | None = Field(default=None, description="Of services that have a broker.")
    postgres: Postgres | None = Field(default=None, description="Of services that have a database.")
    proxy: Proxy | None = Field(default=None, description="The reverse proxy.")
    exposure: Exposure | None = Field(
        default=None,
        description="Of services that are exposed; gateway, ingress, loadBalancer and tls each "
        "of those that have that section.",
    )
    observability: Observability | None = Field(default=None, description="What is watched.")
    availability: Availability | None = Field(default=None, description="Where pods run.")
    rollout: Rollout | None = Field(default=None, description="How a new version comes.")
    network: Network | None = Field(default=None, description="Who may talk to whom.")


def _of_spec(path: str) -> str:
    fields.field_at(Spec, path)
    return path


def _bounded(path: str) -> str:
    if path not in BOUNDS:
        raise ValueError(f"{path} has no ceiling; those with one are {', '.join(BOUNDS)}")
    return path


def _counted(ceilings: dict[str, str | int]) -> dict[str, str | int]:
    for path, amount in ceilings.items():
        if BOUNDS[path].amount is int and not isinstance(amount, int):
            raise ValueError(f"{path}: {amount!r} is not a whole number")
    return ceilings


class Profile(Model):
    """One profile. Precedence: what the service says, the profile, what is derived."""

    description: str = Field(
        default="", max_length=256, description="For whom it is, in a sentence."
    )
    defaults: Defaults = Field(
        default=Defaults(),
        description="Values for what a service leaves out. One that contradicts the service gives "
        "way; lists are replaced as a whole, mappings are merged.",
    )
    ceilings: Annotated[
        dict[Annotated[str, AfterValidator(_bounded)], Quantity], AfterValidator(_counted)
    ] = Field(
        default={},
        description=f"The most that a service gets, asked for or derived: {', '.join(BOUNDS)}.",
        examples=[{"scaling.maxReplicas": 20, "resources.limits.memory": "4Gi"}],
    )
    required: tuple[Annotated[str, AfterValidator(_of_spec)], ...] = Field(
        default=(),
        description="Fields that a service must have, by their path in spec; one below redis, "
        "queue, postgres or exposure only where the service has that section.",
        examples=[["exposure.tls", "postgres.backup"]],
    )
    labels: Labels = Field(
        default={},
        description="Labels on every object and pod, such as those by which costs are shared out.",
        examples=[{"cost-center": "4711"}],
    )
    cpu_limits: bool = Field(
        default=False,
        description="Whether containers get a CPU limit where the service sets none, as some "
        "ResourceQuotas ask: a core for each worker and each other container, or the request "
        "where that is more.",
        examples=[True],
    )
    storage_class: ObjectName | None = Field(
        default=None,
        description="StorageClass of volumes; null is the operator's storageClass.",
        examples=["fast-ssd"],
    )
    image_registry: (
        Annotated[
            str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.:/_-]*[a-z0-9]$", max_length=253)
        ]
        | None
    ) = Field(
        default=None,
        description="Registry, with a path if any, from which the images that run beside the app "
        "come; null is that of the operator's images.",
        examples=["mirror.example.com/hub"],
    )


ProfileName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)
]
NO_PROFILE = Profile()


@functools.cache
def shipped() -> Mapping[str, Profile]:
    """The profiles that come with the operator, from ``profiles.yaml`` beside this module."""
    (document,) = read_documents(shipped_text())
    return {
        name: Profile.model_validate(profile, strict=False)
        for name, profile in document.body.items()
    }


def shipped_text() -> str:
    """The file with the profiles that come with the operator, for people."""
    return Path(__file__).with_name("profiles.yaml").read_text()
