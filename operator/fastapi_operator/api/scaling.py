"""``spec.scaling``: how many pods."""

from typing import Literal

from pydantic import Field

from fastapi_operator.api.model import Endpoint, Model, ObjectName


class Keda(Model):
    """Where KEDA reads the requests under way."""

    prometheus_address: Endpoint = Field(
        description="Address of the Prometheus that scrapes the app.",
        examples=["http://prometheus.monitoring.svc:9090"],
    )
    authentication_name: ObjectName | None = Field(
        default=None,
        description="A TriggerAuthentication in the service's namespace, for a Prometheus that "
        "asks for credentials. Default: none.",
        examples=["prometheus"],
    )


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
    engine: Literal["HorizontalPodAutoscaler", "Keda"] | None = Field(
        default=None,
        description="Who scales: Kubernetes itself by CPU, or KEDA by CPU and by the requests "
        "under way, which it reads from a Prometheus. Default: HorizontalPodAutoscaler.",
        examples=["Keda"],
    )
    keda: Keda | None = Field(
        default=None, description="With engine Keda: what it reads. Default: none."
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
        description="Requests under way in one pod that the autoscaler aims at, beside CPU; "
        "without KEDA the cluster needs a custom metrics API. Default: with KEDA derived, else CPU "
        "alone.",
        examples=[40],
    )
    scale_down_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Seconds that load must stay low before pods are taken away. Default: 300.",
        examples=[300],
    )
