"""``spec.scaling``: how many pods."""

from pydantic import Field

from fastapi_operator.api.model import Model


class Scaling(Model):
    """A fixed number of pods, or the bounds of the autoscaler."""

    replicas: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="A fixed number of pods; switches autoscaling off, and is what kubectl scale "
        "sets. Default: autoscaling.",
        examples=[3],
    )
    min_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="The fewest pods that the autoscaler keeps. Default: 2.",
        examples=[2],
    )
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="The most pods that the autoscaler may start. Default: derived from traffic "
        "and from what the connection budget allows.",
        examples=[20],
    )
    target_cpu_percent: int | None = Field(
        default=None,
        ge=10,
        le=100,
        description="CPU use, in percent of the request, that the autoscaler aims at. Default: 65.",
        examples=[65],
    )
    target_in_flight: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Requests under way in one pod that the autoscaler aims at, beside CPU; the "
        "cluster needs a custom metrics API. Default: CPU alone.",
        examples=[40],
    )
    scale_down_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Seconds that load must stay low before pods are taken away. Default: 300.",
        examples=[300],
    )
