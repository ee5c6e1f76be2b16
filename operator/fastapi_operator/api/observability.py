"""``spec.observability``: what is watched."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.model import Endpoint, Labels, Model, SecretValue

# A share with at most three decimals; a string, since a bare decimal is read differently by tools.
Percent = Annotated[
    str, StringConstraints(pattern=r"^(100|[1-9]?[0-9]([.][0-9]{1,3})?)$", max_length=6)
]


class Metrics(Model):
    """Prometheus metrics."""

    enabled: bool | None = Field(
        default=None,
        description="Whether the app's metrics port is opened and scraped; false suits an app "
        "without the runtime, whose proxy and other parts are watched on. Default: true.",
        examples=[True],
    )
    interval_seconds: int | None = Field(
        default=None,
        ge=5,
        le=300,
        description="Seconds between two scrapes. Default: 30.",
        examples=[30],
    )
    exporters: bool | None = Field(
        default=None,
        description="Whether PostgreSQL, PgBouncer, Redis and nginx have an exporter beside them. "
        "Default: where the cluster has PodMonitors, so that somebody reads them.",
        examples=[True],
    )
    dashboard: Literal["Shared", "PerService"] | None = Field(
        default=None,
        description="Shared: the dashboard of all services, which the operator's chart brings, "
        "shows this one too. PerService adds one of its own, as a ConfigMap for Grafana's sidecar "
        "and a GrafanaDashboard where the cluster has that API. Default: Shared.",
        examples=["PerService"],
    )
    additional_labels: Labels | None = Field(
        default=None,
        description="Labels added to monitoring objects, as many Prometheus installations "
        "select by one. Default: none.",
        examples=[{"release": "kube-prometheus-stack"}],
    )


class Slo(Model):
    """What the service promises; alerts fire when its error budget burns too fast."""

    availability_percent: Percent | None = Field(
        default=None,
        description="Share of requests that are not answered with 5xx, quoted. Default: 99.9.",
        examples=["99.9"],
    )
    latency_milliseconds: int | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="Milliseconds within which latencyPercent of the requests are answered. "
        "Default: no promise.",
        examples=[300],
    )
    latency_percent: Percent | None = Field(
        default=None,
        description="Share of requests that are as fast as latencyMilliseconds, quoted. "
        "Default: 99.",
        examples=["99"],
    )


class Logs(Model):
    """Log lines of the app."""

    level: Literal["debug", "info", "warning", "error"] | None = Field(
        default=None,
        description="Least severe level that is written. Default: info.",
        examples=["info"],
    )


class Traces(Model):
    """Traces by OTLP."""

    endpoint: Endpoint | None = Field(
        default=None,
        description="Collector that takes OTLP over HTTP. Default: the profile's; without one no "
        "traces are sent.",
        examples=["http://otel-collector.observability:4318"],
    )
    sample_percent: Percent | None = Field(
        default=None,
        description="Share of new traces that are kept, quoted; a caller's decision is followed. "
        "Default: 5.",
        examples=["5"],
    )
    headers_secret_ref: SecretValue | None = Field(
        default=None,
        description="Secret with headers for the collector, as name=value,…; its default key is "
        "headers. Default: none.",
    )


class Errors(Model):
    """Error tracking."""

    sentry_secret_ref: SecretValue | None = Field(
        default=None,
        description="Secret with Sentry's DSN; its default key is dsn. Default: none.",
    )
    environment: Annotated[
        str | None, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    ] = Field(
        default=None,
        description="Environment that errors and traces are filed under. Default: the namespace.",
        examples=["production"],
    )


class Profiling(Model):
    """Profiles of running processes."""

    enabled: bool | None = Field(
        default=None,
        description="Whether the runtime answers requests for profiles on the private port. "
        "Default: true where metrics are on.",
        examples=[True],
    )


class Observability(Model):
    """Metrics, promises, logs, traces, errors and profiles of the service."""

    metrics: Metrics | None = Field(
        default=None, description="Prometheus metrics. Default: scraped."
    )
    slo: Slo | None = Field(
        default=None,
        description="What the service promises; write {} for 99.9 % available. Default: none.",
    )
    logs: Logs | None = Field(default=None, description="Log lines. Default: from info upwards.")
    traces: Traces | None = Field(
        default=None, description="Traces by OTLP. Default: where the profile has an endpoint."
    )
    errors: Errors | None = Field(default=None, description="Error tracking. Default: none.")
    profiling: Profiling | None = Field(
        default=None, description="Profiles of running processes. Default: on the private port."
    )
