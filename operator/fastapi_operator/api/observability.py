"""``spec.observability``: metrics, objectives, logs, traces, errors, agents and profiles."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fastapi_operator.api.model import Endpoint, Labels, Model, SecretValue

# A percentage with up to three decimals. It is a string, since tools read bare decimals
# differently.
Percent = Annotated[
    str, StringConstraints(pattern=r"^(100|[1-9]?[0-9]([.][0-9]{1,3})?)$", max_length=6)
]


class Metrics(Model):
    """Prometheus metrics."""

    enabled: bool | None = Field(
        default=None,
        description="Whether the app's metrics port is open and scraped. Set false for an app "
        "without the runtime; the proxy and the other parts are still monitored. Default: true.",
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
        description="Whether PostgreSQL, PgBouncer, Redis and nginx each get an exporter. "
        "Default: true if the cluster serves PodMonitor.",
        examples=[True],
    )
    dashboard: Literal["Shared", "PerService"] | None = Field(
        default=None,
        description="Shared uses the dashboard of all services from the operator's chart. "
        "PerService adds a dashboard for this service, as a ConfigMap for Grafana's sidecar and, "
        "if the cluster serves it, as a GrafanaDashboard. Default: Shared.",
        examples=["PerService"],
    )
    additional_labels: Labels | None = Field(
        default=None,
        description="Additional labels of monitoring objects, for example the label that your "
        "Prometheus selects. Default: none.",
        examples=[{"release": "kube-prometheus-stack"}],
    )


class Slo(Model):
    """Service level objectives. Alerts fire if the error budget is consumed too fast."""

    availability_percent: Percent | None = Field(
        default=None,
        description="Percentage of requests without a 5xx response, quoted. Default: 99.9.",
        examples=["99.9"],
    )
    latency_milliseconds: int | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="Response time in milliseconds that latencyPercent of the requests must meet. "
        "Default: no objective.",
        examples=[300],
    )
    latency_percent: Percent | None = Field(
        default=None,
        description="Percentage of requests that must be as fast as latencyMilliseconds, quoted. "
        "Default: 99.",
        examples=["99"],
    )


class Logs(Model):
    """Logs of the app."""

    level: Literal["debug", "info", "warning", "error"] | None = Field(
        default=None,
        description="Lowest level that is logged. Default: info.",
        examples=["info"],
    )


class Traces(Model):
    """Traces, exported by OTLP."""

    endpoint: Endpoint | None = Field(
        default=None,
        description="Collector that accepts OTLP over HTTP. Default: the profile's, else no traces "
        "are sent.",
        examples=["http://otel-collector.observability:4318"],
    )
    sample_percent: Percent | None = Field(
        default=None,
        description="Percentage of new traces to sample, quoted. If the caller has decided, its "
        "decision is used. Default: 5.",
        examples=["5"],
    )
    headers_secret_ref: SecretValue | None = Field(
        default=None,
        description="Secret with headers for the collector, as name=value,…, by default under the "
        "key headers. Default: none.",
    )


class Errors(Model):
    """Error tracking."""

    sentry_secret_ref: SecretValue | None = Field(
        default=None,
        description="Secret with the Sentry DSN, by default under the key dsn. Default: none.",
    )
    environment: Annotated[
        str | None, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    ] = Field(
        default=None,
        description="Environment attribute of errors and traces. Default: the namespace.",
        examples=["production"],
    )


class Agent(Model):
    """The agent of a vendor, which runs in the processes of the app."""

    engine: Literal["Datadog", "NewRelic"] = Field(
        description="Datadog starts the processes with ddtrace-run, NewRelic with newrelic-admin. "
        "The image must contain it.",
        examples=["Datadog"],
    )
    secret_ref: SecretValue = Field(
        description="Secret with the URL of the Datadog Agent, by default under the key agent-url, "
        "or with the licence key of New Relic, by default under the key license-key.",
    )


class Profiling(Model):
    """CPU and memory profiles of running processes."""

    enabled: bool | None = Field(
        default=None,
        description="Whether the runtime serves profiles, on loopback only. "
        "Default: true if metrics are enabled.",
        examples=[True],
    )


class Observability(Model):
    """Metrics, objectives, logs, traces, errors and profiles of the service."""

    metrics: Metrics | None = Field(
        default=None, description="Prometheus metrics. Default: scraped."
    )
    slo: Slo | None = Field(
        default=None,
        description="Service level objectives; write {} for 99.9 % availability. Default: none.",
    )
    logs: Logs | None = Field(default=None, description="Logs of the app. Default: level info.")
    traces: Traces | None = Field(
        default=None,
        description="Traces, exported by OTLP. Default: sent if the profile has an endpoint.",
    )
    errors: Errors | None = Field(default=None, description="Error tracking. Default: none.")
    agent: Agent | None = Field(
        default=None,
        description="Datadog's or New Relic's own agent, in the processes of the app. "
        "Default: none.",
    )
    profiling: Profiling | None = Field(
        default=None,
        description="CPU and memory profiles of running processes. Default: on loopback.",
    )
