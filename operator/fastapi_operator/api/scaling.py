"""``spec.scaling``: the number of pods."""

from typing import Literal

from pydantic import Field

from fastapi_operator.api.model import Endpoint, Model, ObjectName


class Keda(Model):
    """The Prometheus from which KEDA reads the requests in flight."""

    prometheus_address: Endpoint = Field(
        description="Address of the Prometheus that scrapes the app.",
        examples=["http://prometheus.monitoring.svc:9090"],
    )
    authentication_name: ObjectName | None = Field(
        default=None,
        description="TriggerAuthentication in the service's namespace, if the Prometheus requires "
        "credentials. Default: none.",
        examples=["prometheus"],
    )


class Scaling(Model):
    """A fixed number of pods, or the bounds of the autoscaler."""

    replicas: int | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Fixed number of pods. It disables autoscaling. kubectl scale sets it. "
        "Default: autoscaling.",
        examples=[3],
    )
    engine: Literal["HorizontalPodAutoscaler", "Keda"] | None = Field(
        default=None,
        description="Autoscaler. HorizontalPodAutoscaler scales by CPU. Keda scales by CPU and by "
        "the requests in flight, which it reads from a Prometheus. "
        "Default: HorizontalPodAutoscaler.",
        examples=["Keda"],
    )
    keda: Keda | None = Field(
        default=None,
        description="Prometheus that KEDA reads. Required with engine Keda. Default: none.",
    )
    min_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Smallest number of pods. Default: 2.",
        examples=[2],
    )
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Largest number of pods. Default: derived from traffic and from the "
        "connection budget.",
        examples=[20],
    )
    target_cpu_percent: int | None = Field(
        default=None,
        ge=10,
        le=100,
        description="Target CPU use, in percent of the request. Default: 65.",
        examples=[65],
    )
    target_in_flight: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Target number of requests in flight in each pod, in addition to CPU. Without "
        "KEDA the cluster needs a custom metrics API. Default: derived with KEDA, otherwise CPU "
        "only.",
        examples=[20],
    )
    scale_down_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Seconds that the load must stay low before pods are removed. Default: 300.",
        examples=[300],
    )
