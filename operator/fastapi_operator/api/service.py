"""The resource ``FastAPIService`` and the root of its ``spec``."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from fastapi_operator import naming
from fastapi_operator.api import model
from fastapi_operator.api.compute import Resources, Traffic
from fastapi_operator.api.connections import Connections
from fastapi_operator.api.exposure import Exposure
from fastapi_operator.api.model import (
    Arguments,
    Command,
    LocalReference,
    Model,
    Mounts,
    NamedParts,
    PodPart,
    Variables,
)
from fastapi_operator.api.observability import Observability
from fastapi_operator.api.part_settings import Parts
from fastapi_operator.api.postgres import Postgres
from fastapi_operator.api.proxy import Proxy
from fastapi_operator.api.redis import Queue, Redis
from fastapi_operator.api.scaling import Scaling
from fastapi_operator.api.schedule import Background, Schedule
from fastapi_operator.api.server import Server
from fastapi_operator.api.tuning import Tuning
from fastapi_operator.api.workload import Availability, Network, Rollout, ServiceAccount

ImageReference = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$", min_length=1, max_length=512)
]


class Spec(Model):
    """The desired state of a service. The operator derives every field that is absent."""

    image: ImageReference = Field(
        description="Image of the app.", examples=["registry.example.com/shop:1.4.2"]
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None,
        description="When the kubelet pulls the image. Default: IfNotPresent.",
        examples=["IfNotPresent"],
    )
    image_pull_secrets: (
        Annotated[tuple[LocalReference, ...], Field(max_length=16, json_schema_extra=model.BY_NAME)]
        | None
    ) = Field(default=None, description="Secrets with registry credentials. Default: none.")
    app: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*"
                r":[A-Za-z_][A-Za-z0-9_.]*$",
                max_length=256,
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="ASGI application, as module:attribute. Default: main:app.",
        examples=["shop.main:app"],
    )
    port: int | None = Field(
        default=None,
        ge=1024,
        le=65535,
        description="Port on which the app listens. Default: 8000.",
        examples=[8000],
    )
    command: Command | None = Field(
        default=None,
        description="Command that replaces the derived one; [] runs the ENTRYPOINT and CMD of the "
        "image. The app then gets the tuned values from environment variables only. Default: "
        "derived from server.",
        examples=[["python3", "-m", "shop"]],
    )
    args: Arguments | None = Field(
        default=None,
        description="Arguments of command. Default: none.",
        examples=[["--port", "8000"]],
    )
    profile: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63),
        ]
        | None
    ) = Field(
        default=None,
        description="Profile with defaults, ceilings and required fields of the platform team. "
        "Default: from the namespace's label fastapi-operator.io/profile, else none.",
        examples=["production"],
    )
    suspend: bool | None = Field(
        default=None,
        description="Whether to suspend reconciliation. Running pods are unaffected. Default: "
        "false.",
        examples=[False],
    )
    server: Server | None = Field(default=None, description="ASGI server. Default: derived.")
    resources: Resources | None = Field(
        default=None, description="Resources of each app pod. Default: derived."
    )
    traffic: Traffic | None = Field(default=None, description="Expected load. Default: unknown.")
    scaling: Scaling | None = Field(
        default=None, description="Number of pods. Default: autoscaling from 2 pods."
    )
    redis: Redis | None = Field(
        default=None, description="Redis cache; write {} for all defaults. Default: none."
    )
    queue: Queue | None = Field(
        default=None,
        description="Broker for background work; write {} for all defaults. Default: none.",
    )
    postgres: Postgres | None = Field(
        default=None, description="PostgreSQL database; write {} for all defaults. Default: none."
    )
    connections: Connections | None = Field(
        default=None,
        description="Names and form of the addresses and credentials in the app's environment. "
        "Default: the names of the environment contract.",
    )
    proxy: Proxy | None = Field(
        default=None, description="Reverse proxy in front of the app. Default: nginx."
    )
    exposure: Exposure | None = Field(
        default=None,
        description="How clients outside the cluster reach the service. Default: not exposed.",
    )
    background: Annotated[tuple[Background, ...], Field(max_length=16)] | None = Field(
        default=None,
        description="Background processes of the image, for example queue workers. Default: none.",
    )
    schedules: Annotated[tuple[Schedule, ...], Field(max_length=16)] | None = Field(
        default=None, description="Commands of the image that run at set times. Default: none."
    )
    observability: Observability | None = Field(
        default=None,
        description="Metrics, objectives, logs, traces, errors and profiles. Default: metrics.",
    )
    env: Variables | None = Field(
        default=None,
        description="Environment variables of the app, as in a Pod's container. Default: none.",
        examples=[[{"name": "FEATURE_X", "value": "on"}]],
    )
    env_from: Annotated[tuple[PodPart, ...], Field(max_length=64)] | None = Field(
        default=None,
        description="ConfigMaps and Secrets whose keys become environment variables, as in a "
        "Pod's container. Default: none.",
        examples=[[{"secretRef": {"name": "shop-secrets"}}]],
    )
    availability: Availability | None = Field(
        default=None,
        description="Placement of the pods, and their disruption budget. Default: spread, one at a "
        "time.",
    )
    rollout: Rollout | None = Field(
        default=None, description="Rolling update of the app. Default: derived."
    )
    tuning: Tuning | None = Field(
        default=None, description="Measurements of the running service. Default: recommend."
    )
    network: Network | None = Field(
        default=None,
        description="NetworkPolicies. Default: only the connections that the parts need.",
    )
    service_account: ServiceAccount | None = Field(
        default=None,
        description="ServiceAccount of the app's pods. Default: a new one, without a token.",
    )
    volumes: NamedParts | None = Field(
        default=None,
        description="Volumes of the app's pods, as in a Pod. Default: none.",
        examples=[[{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}]],
    )
    volume_mounts: Mounts | None = Field(
        default=None,
        description="Volume mounts of the app's container, as in a Pod's container. Default: none.",
        examples=[[{"name": "models", "mountPath": "/models", "readOnly": True}]],
    )
    init_containers: NamedParts | None = Field(
        default=None,
        description="Init containers of the app, as in a Pod. With restartPolicy Always they are "
        "sidecars, which stop after the app. Default: none.",
        examples=[
            [
                {
                    "name": "fetch-model",
                    "image": "registry.example.com/fetch:1",
                    "command": ["fetch", "--to", "/models"],
                }
            ]
        ],
    )
    containers: NamedParts | None = Field(
        default=None,
        description="Additional containers of the app's pods, as in a Pod. Default: none.",
        examples=[[{"name": "shipper", "image": "registry.example.com/shipper:2"}]],
    )
    parts: Parts | None = Field(
        default=None,
        description="Pod and Service metadata, resources and placement of parts, by the name of "
        "the part. Default: none.",
        examples=[{"pooler": {"resources": {"requests": {"cpu": "100m"}}}}],
    )
    pod_template: PodPart | None = Field(
        default=None,
        description="Patch of the app's pod template (strategic merge, applied last), for settings "
        "without a field in this resource. It cannot remove fields, or change those that the "
        "operator needs. Default: none.",
        examples=[{"spec": {"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["legacy"]}]}}],
    )


class Metadata(BaseModel):
    """The metadata that the operator reads."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    name: Annotated[
        str,
        StringConstraints(
            pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=naming.NAME_MAX_LENGTH
        ),
    ]
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    annotations: dict[str, str] = Field(default_factory=dict)


class FastAPIService(BaseModel):
    """A service from the API server or from a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metadata: Metadata
    spec: Spec
    written: Mapping[str, Any] = Field(
        exclude=True, repr=False, description="The spec as written, without nulls."
    )
