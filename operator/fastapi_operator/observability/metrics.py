"""The metrics of the product: name, labels, unit, source and help.

Dashboards and alerts may use only these and those in ``exported``. Names of the app's metrics
follow OpenTelemetry's semantic conventions in Prometheus' spelling, so that one dashboard serves
apps that are scraped and apps that push.
"""

from dataclasses import dataclass
from enum import StrEnum

from fastapi_operator.naming import SERVICE_SERIES_LABEL

# The gauge of the runtime on which the app may be scaled.
IN_FLIGHT = "http_server_active_requests"


class Kind(StrEnum):
    """The type of a metric, which decides how a query may use it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """The program that exposes a metric."""

    APP = "app"
    OPERATOR = "operator"
    PROXY = "proxy"
    POSTGRES = "postgres_exporter"
    CLOUDNATIVE_PG = "CloudNativePG"
    PGBOUNCER = "pgbouncer_exporter"
    REDIS = "redis_exporter"
    KUBELET = "kubelet"
    KUBE_STATE = "kube-state-metrics"


class Unit(StrEnum):
    """Units, with Grafana's names."""

    NONE = "short"
    SECONDS = "s"
    BYTES = "bytes"
    PER_SECOND = "ops"
    REQUESTS_PER_SECOND = "reqps"
    RATIO = "percentunit"


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: Its name without ``_total`` and ``_bucket``. If ``is_bare``, the whole name.
        kind: Counter, gauge or histogram.
        source: The program that exposes it.
        unit: The unit of its values.
        labels: Its own labels, in addition to those of the scrape.
        text: Its help.
        is_bare: Whether a counter's name has no suffix: not every exporter writes ``_total``.
    """

    name: str
    kind: Kind
    source: Source
    unit: Unit
    text: str
    labels: tuple[str, ...] = ()
    is_bare: bool = False

    @property
    def series(self) -> str:
        """The name in a query: counters end in ``_total``, histograms in ``_bucket``."""
        if self.is_bare:
            return self.name
        suffix = {Kind.COUNTER: "_total", Kind.HISTOGRAM: "_bucket", Kind.GAUGE: ""}
        return self.name + suffix[self.kind]


_POOL = ("db_client_connection_pool_name",)

METRICS: tuple[Metric, ...] = (
    Metric(
        name="http_server_request_duration_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.APP,
        unit=Unit.SECONDS,
        labels=("http_request_method", "http_route", "http_response_status_code"),
        text="Duration of HTTP requests, by method, route template and status.",
    ),
    Metric(
        name=IN_FLIGHT,
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        text="Requests in flight.",
    ),
    Metric(
        name="fastapi_worker_shed_requests",
        kind=Kind.COUNTER,
        source=Source.APP,
        unit=Unit.NONE,
        labels=("reason",),
        text="Requests rejected with 503 because they would wait too long, by reason.",
    ),
    Metric(
        name="fastapi_worker_in_flight_limit",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        text="Requests in flight above which requests are shed; it follows the load.",
    ),
    Metric(
        name="fastapi_worker_event_loop_lag_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.APP,
        unit=Unit.SECONDS,
        text="Delay between the requested and the actual wake-up of a sleeping task.",
    ),
    Metric(
        name="fastapi_worker_event_loop_stalls",
        kind=Kind.COUNTER,
        source=Source.APP,
        unit=Unit.NONE,
        text="Times for which the event loop was blocked longer than the stall threshold.",
    ),
    Metric(
        name="fastapi_worker_threads_used",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        text="Threads in use by def endpoints and blocking calls.",
    ),
    Metric(
        name="fastapi_worker_threads_max",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        text="Maximum number of threads.",
    ),
    Metric(
        name="fastapi_worker_threads_waiting",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        text="Calls that wait for a thread.",
    ),
    Metric(
        name="fastapi_worker_resident_memory_bytes",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.BYTES,
        text="Resident memory of the workers.",
    ),
    Metric(
        name="fastapi_worker_processes",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        text="Running worker processes.",
    ),
    Metric(
        name="fastapi_worker_cpu_seconds",
        kind=Kind.COUNTER,
        source=Source.APP,
        unit=Unit.SECONDS,
        text="CPU time used by the workers.",
    ),
    Metric(
        name="fastapi_worker_cpu_wait_seconds",
        kind=Kind.COUNTER,
        source=Source.APP,
        unit=Unit.SECONDS,
        text="Time for which runnable workers waited for a CPU.",
    ),
    Metric(
        name="db_client_operation_duration_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.APP,
        unit=Unit.SECONDS,
        labels=("db_system_name", "error_type"),
        text="Duration of commands to the cache; error_type is empty if they succeeded.",
    ),
    Metric(
        name="db_client_connection_count",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        labels=(*_POOL, "db_client_connection_state"),
        text="Connections of the app's pools, by state: idle or used.",
    ),
    Metric(
        name="db_client_connection_max",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        labels=_POOL,
        text="Maximum number of connections of the pools.",
    ),
    Metric(
        name="db_client_connection_pending_requests",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        labels=_POOL,
        text="Checkouts that wait for a connection.",
    ),
    Metric(
        name="db_client_connection_timeouts",
        kind=Kind.COUNTER,
        source=Source.APP,
        unit=Unit.NONE,
        labels=_POOL,
        text="Checkouts that timed out.",
    ),
    Metric(
        name="db_client_connection_wait_time_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.APP,
        unit=Unit.SECONDS,
        labels=_POOL,
        text="Time until a checkout had a usable connection.",
    ),
    Metric(
        name="db_client_connection_use_time_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.APP,
        unit=Unit.SECONDS,
        labels=_POOL,
        text="Time between checkout and return.",
    ),
    Metric(
        name="fastapi_operator_services",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("ready", "reason"),
        text="Services by status of the Ready condition and its reason.",
    ),
    Metric(
        name="fastapi_operator_planned",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("namespace", SERVICE_SERIES_LABEL, "decision"),
        text="Planned values of a service, by the name of the decision in explain.",
    ),
    Metric(
        name="fastapi_operator_condition",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("namespace", SERVICE_SERIES_LABEL, "condition", "reason"),
        text="1 for each failing condition of a service: a part that is not ready, or Stalled.",
    ),
    Metric(
        name="fastapi_operator_recommended_cpu_cores",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("namespace", SERVICE_SERIES_LABEL, "number"),
        text="Change of the CPU that a service requests with the fewest pods, for each recommended "
        "number; negative if CPU is to be won.",
    ),
    Metric(
        name="fastapi_operator_recommended_memory_bytes",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.BYTES,
        labels=("namespace", SERVICE_SERIES_LABEL, "number"),
        text="Change of the memory that a service requests with the fewest pods, for each "
        "recommended number; negative if memory is to be won.",
    ),
    Metric(
        name="fastapi_operator_observations",
        kind=Kind.COUNTER,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("outcome",),
        text="Attempts to read the metrics of a service's pod, by outcome: Read, First (nothing to "
        "compare with), Restarted, NoPod, Unreadable.",
    ),
    Metric(
        name="fastapi_operator_pass_duration_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.OPERATOR,
        unit=Unit.SECONDS,
        labels=("outcome",),
        text="Duration of a reconciliation of one service, by outcome.",
    ),
    Metric(
        name="fastapi_operator_writes",
        kind=Kind.COUNTER,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("kind", "why"),
        text="Writes by kind and cause: missing, changed, drift, reference, owner, release, "
        "unwanted.",
    ),
    Metric(
        name="fastapi_operator_watch_events",
        kind=Kind.COUNTER,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("kind",),
        text="Watch events, by kind.",
    ),
    Metric(
        name="fastapi_operator_api_requests",
        kind=Kind.COUNTER,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("verb", "resource", "code"),
        text="Requests to the API server by verb, resource and status code; 0 means no response.",
    ),
    Metric(
        name="fastapi_operator_api_request_duration_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.OPERATOR,
        unit=Unit.SECONDS,
        labels=("verb",),
        text="Duration of requests to the API server, by verb.",
    ),
    Metric(
        name="fastapi_operator_working",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        text="1 while this process reconciles: it is the leader, the API server responds, and its "
        "lists are complete. 0 for a standby.",
    ),
    Metric(
        name="fastapi_operator_queue_depth",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        text="Services that wait for reconciliation.",
    ),
    Metric(
        name="fastapi_operator_queue_oldest_wait_seconds",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.SECONDS,
        text="How long the service that waits longest has been due.",
    ),
    Metric(
        name="fastapi_operator_rollouts_waiting",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        text="Services that wait for a rollout slot for the changes of a new operator version.",
    ),
    Metric(
        name="fastapi_operator_delete_brake",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        text="1 while pruning is stopped because of too many deletions within a minute.",
    ),
)

_BY_NAME = {metric.name: metric for metric in METRICS}


def metric(name: str) -> Metric:
    """Returns the metric with this name.

    Raises:
        KeyError: The table does not have such a metric.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise KeyError(f"{name} is not in the table of metrics") from None
