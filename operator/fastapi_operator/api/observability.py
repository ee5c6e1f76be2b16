"""``spec.observability``: what is watched."""

from typing import Annotated

from pydantic import Field

from fastapi_operator.api.model import LabelName, LabelValue, Model


class Metrics(Model):
    """Prometheus metrics of the app."""

    enabled: bool | None = Field(
        default=None,
        description="Whether the app's metrics port is opened and scraped. Default: true.",
        examples=[True],
    )
    additional_labels: Annotated[dict[LabelName, LabelValue], Field(max_length=16)] | None = Field(
        default=None,
        description="Labels added to monitoring objects, as many Prometheus installations "
        "select by one. Default: none.",
        examples=[{"release": "kube-prometheus-stack"}],
    )


class Observability(Model):
    """Metrics of the service."""

    metrics: Metrics | None = Field(
        default=None, description="Prometheus metrics. Default: scraped."
    )
