"""The operator's settings, which a platform team sets for all services."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

from fastapi_operator.api.model import LocalReference
from fastapi_operator.profiles import Profile, ProfileName, shipped

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True
    )


class OperandImage(_Settings):
    """The image of an operand."""

    registry: str = Field(default="docker.io", description="Registry host, optionally with a port.")
    repository: str = Field(description="Repository in the registry.")
    tag: str = Field(description="Tag. If a digest is set, the tag is informative only.")
    digest: Digest | None = Field(default=None, description="Digest of the image.")

    @property
    def reference(self) -> str:
        """The image reference for a pod."""
        pinned = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}:{self.tag}{pinned}"

    @property
    def major(self) -> str | None:
        """The major version at the start of the tag, or None if there is none."""
        found = re.match(r"[0-9]{1,3}(?![0-9A-Za-z])", self.tag)
        return found.group() if found else None


class OperandImages(_Settings):
    """The images of all operands."""

    postgres: OperandImage = OperandImage(repository="library/postgres", tag="18")
    pgbouncer: OperandImage = OperandImage(
        registry="ghcr.io", repository="fastapi-operator/pgbouncer", tag="1.26"
    )
    redis: OperandImage = OperandImage(repository="library/redis", tag="8.0")
    valkey: OperandImage = OperandImage(repository="valkey/valkey", tag="9.1")
    nginx: OperandImage = OperandImage(repository="library/nginx", tag="1.30")
    caddy: OperandImage = OperandImage(repository="library/caddy", tag="2.11")
    postgres_exporter: OperandImage = OperandImage(
        registry="quay.io", repository="prometheuscommunity/postgres-exporter", tag="v0.19.1"
    )
    pgbouncer_exporter: OperandImage = OperandImage(
        registry="quay.io", repository="prometheuscommunity/pgbouncer-exporter", tag="v0.12.0"
    )
    redis_exporter: OperandImage = OperandImage(
        repository="oliver006/redis_exporter", tag="v1.86.0"
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Completes an image of which only some keys are given, as the chart's values do."""
        if not isinstance(data, Mapping):
            return data
        shipped = {field.alias: field.default for field in cls.model_fields.values()}
        return {
            name: {**shipped[name].model_dump(), **value}
            if name in shipped and isinstance(value, Mapping)
            else value
            for name, value in data.items()
        }


def _with_shipped(given: Mapping[str, Profile]) -> dict[str, Profile]:
    return {**shipped(), **given}


class Settings(_Settings):
    """The operator's settings from its chart and command line.

    The plan uses images and security settings; the controller uses intervals and namespaces.
    """

    images: OperandImages = OperandImages()
    image_pull_policy: str = Field(default="IfNotPresent", pattern="^(Always|IfNotPresent|Never)$")
    image_pull_secrets: tuple[LocalReference, ...] = Field(
        default=(),
        max_length=16,
        description="Secrets with registry credentials, for all pods of services. They must exist "
        "in the namespace of each service; the operator does not copy them.",
        examples=[[{"name": "registry-login"}]],
    )
    run_as_user: int | None = Field(
        default=10001,
        ge=1,
        description="User ID of operand pods. If null, the cluster chooses it, as OpenShift does.",
    )
    storage_class: str | None = Field(
        default=None,
        description="StorageClass of managed volumes. If null, the cluster's default is used.",
    )
    runbooks: str = Field(
        default="https://github.com/fastapi-operator/fastapi-operator/blob/main/docs/runbooks",
        pattern=r"^https?://[^\s\"{}]+$",
        description="URL of the runbooks, to which alerts link.",
    )
    profiles: Annotated[dict[ProfileName, Profile], AfterValidator(_with_shipped)] = Field(
        default_factory=lambda: dict(shipped()),
        description="Profiles by name, in addition to the included profiles production and "
        "development. A profile with the same name replaces an included one.",
    )
    watch_namespaces: tuple[str, ...] = Field(
        default=(), description="Namespaces to watch. If empty, the whole cluster is watched."
    )
    resync_seconds: int = Field(
        default=600, ge=10, description="Interval of the full relist, in seconds."
    )
    discovery_seconds: int = Field(
        default=60, ge=5, description="Interval of API discovery, in seconds."
    )
    workers: int = Field(
        default=16, ge=1, le=256, description="Number of concurrent reconciliations."
    )
    rollouts_at_once: int = Field(
        default=5,
        ge=1,
        description="Number of concurrent rollouts after an upgrade of the operator.",
    )

    read_metrics: bool = Field(
        default=True,
        description="Whether the operator connects to the metrics ports of services' pods. Without "
        "it, each canary stays at its step until it is promoted by hand, and there are no "
        "recommendations and no leak guard.",
    )
    measurement_pace: int = Field(
        default=1,
        ge=1,
        le=3600,
        description="How many times faster the periods of measurements and of automatic tuning "
        "pass, for test clusters: with 60, an hour is a minute. The requests that are needed, and "
        "the times of a canary, stay the same.",
    )

    @classmethod
    def from_mapping(cls, data: object) -> Self:
        """Parses the content of a settings file; an empty file means all defaults.

        Raises:
            pydantic.ValidationError: A key is unknown, or a value is invalid.
        """
        # JSON mode converts lists to tuples, although the models of profiles are strict.
        return cls.model_validate_json(json.dumps(data if data is not None else {}, default=str))

    def to_mapping(self) -> dict[str, Any]:
        """Returns the content of a settings file with all values, also those of this version.

        Fields that a profile leaves out stay absent, because they are no defaults of the profile.
        """
        data = self.model_dump(by_alias=True, mode="json", exclude={"profiles"})
        data["profiles"] = {
            name: profile.model_dump(by_alias=True, mode="json", exclude_unset=True)
            for name, profile in self.profiles.items()
        }
        return data

    def of_profile(self, profile: Profile) -> Self:
        """Returns the settings with the registry and the StorageClass of a profile."""
        changes: dict[str, object] = {}
        if profile.storage_class is not None:
            changes["storage_class"] = profile.storage_class
        if profile.image_registry is not None:
            registry = {"registry": profile.image_registry}
            images = {
                name: getattr(self.images, name).model_copy(update=registry)
                for name in OperandImages.model_fields
            }
            changes["images"] = OperandImages(**images)
        return self.model_copy(update=changes)
