"""The operator's own settings: what a platform team decides once for all services."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from fastapi_operator.profiles import Profile, ProfileName, shipped

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True
    )


class OperandImage(_Settings):
    """Where an operand's image comes from."""

    registry: str = Field(default="docker.io", description="Registry host, with port if any.")
    repository: str = Field(description="Path below the registry.")
    tag: str = Field(description="Tag; kept for readers where a digest is given.")
    digest: Digest | None = Field(default=None, description="Digest that pins the content.")

    @property
    def reference(self) -> str:
        """The image as a pod names it."""
        pinned = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}:{self.tag}{pinned}"

    @property
    def major(self) -> str | None:
        """The major version that the tag begins with; None where it tells none."""
        found = re.match(r"[0-9]{1,3}(?![0-9A-Za-z])", self.tag)
        return found.group() if found else None


class OperandImages(_Settings):
    """The images of everything that the operator runs beside the app."""

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
    mtail: OperandImage = OperandImage(
        registry="ghcr.io", repository="fastapi-operator/mtail", tag="3.2"
    )


def _beside_the_shipped(given: Mapping[str, Profile]) -> dict[str, Profile]:
    return {**shipped(), **given}


class Settings(_Settings):
    """What the operator's chart and command line set.

    The pure core reads images and security; intervals and namespaces belong to the controller.
    """

    images: OperandImages = OperandImages()
    image_pull_policy: str = Field(default="IfNotPresent", pattern="^(Always|IfNotPresent|Never)$")
    run_as_user: int | None = Field(
        default=10001,
        ge=1,
        description="Numeric user of operand pods; null names none, so that OpenShift chooses.",
    )
    storage_class: str | None = Field(
        default=None, description="StorageClass of managed volumes; null is the cluster's default."
    )
    runbooks: str = Field(
        default="https://github.com/fastapi-operator/fastapi-operator/blob/main/docs/runbooks",
        pattern=r"^https?://[^\s\"{}]+$",
        description="Where the pages of docs/runbooks are read: alerts lead there.",
    )
    profiles: Annotated[dict[ProfileName, Profile], AfterValidator(_beside_the_shipped)] = Field(
        default_factory=lambda: dict(shipped()),
        description="Profiles by name, beside production and development, which come with the "
        "operator; one of the same name takes its place.",
    )
    watch_namespaces: tuple[str, ...] = Field(
        default=(), description="Namespaces to watch; empty is the whole cluster."
    )
    resync_seconds: int = Field(default=600, ge=10, description="Interval of the full relist.")
    discovery_seconds: int = Field(default=60, ge=5, description="Interval of API discovery.")
    workers: int = Field(default=16, ge=1, le=256, description="Passes that run at once.")
    rollouts_at_once: int = Field(
        default=5,
        ge=1,
        description="Services that a new operator version rolls out at the same time.",
    )

    @classmethod
    def from_mapping(cls, data: object) -> Self:
        """Settings from the parsed YAML of a settings file; an empty file is all defaults.

        Raises:
            pydantic.ValidationError: A key is unknown or a value is out of bounds.
        """
        # JSON mode, since the profiles' models are strict and YAML has lists for tuples.
        return cls.model_validate_json(json.dumps(data if data is not None else {}, default=str))

    def of_profile(self, profile: Profile) -> Self:
        """The settings as they are for services of a profile: its registry, its StorageClass."""
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
