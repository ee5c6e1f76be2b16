"""Every metric that dashboards and alerts may use: its name, labels, unit and who exposes it.

Names of the app's metrics follow OpenTelemetry's semantic conventions as Prometheus spells them,
so that one dashboard serves apps that are scraped and apps that push.
"""

from dataclasses import dataclass
from enum import StrEnum

from fastapi_operator.naming import SERVICE_SERIES_LABEL

# The gauge of the runtime on which the app may be scaled.
IN_FLIGHT = "http_server_active_requests"


class Kind(StrEnum):
    """What a sample means, and so what a query may do with it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Who exposes a metric."""

    APP = "app"
    OPERATOR = "operator"
    PROXY = "proxy"
    POSTGRES = "postgres_exporter"
    PGBOUNCER = "pgbouncer_exporter"
    REDIS = "redis_exporter"
    KUBELET = "kubelet"
    KUBE_STATE = "kube-state-metrics"


class Unit(StrEnum):
    """Units as Grafana names them."""

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
        name: Its name without ``_total`` and ``_bucket``; of others' counters the whole name.
        kind: Counter, gauge or histogram.
        source: Who exposes it.
        unit: The unit of its values.
        labels: Its own labels, beside those of the scrape.
        text: What it counts or measures.
        is_bare: A counter whose name is stored as it is: not every exporter writes ``_total``.
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
        text="Requests answered 503 because MAX_IN_FLIGHT were in flight.",
    ),
    Metric(
        name="fastapi_worker_event_loop_lag_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.APP,
        unit=Unit.SECONDS,
        text="How much later than asked the event loop woke a sleeping task.",
    ),
    Metric(
        name="fastapi_worker_event_loop_stalls",
        kind=Kind.COUNTER,
        source=Source.APP,
        unit=Unit.NONE,
        text="Times the event loop did not turn for longer than the stall threshold.",
    ),
    Metric(
        name="fastapi_worker_threads_used",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        text="Threads at work for def endpoints and blocking calls.",
    ),
    Metric(
        name="fastapi_worker_threads_max",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        text="Threads allowed.",
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
        text="Worker processes alive.",
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
        text="Time in which the workers could run and waited for a CPU.",
    ),
    Metric(
        name="db_client_operation_duration_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.APP,
        unit=Unit.SECONDS,
        labels=("db_system_name", "error_type"),
        text="Duration of commands to the cache; error_type is empty where they succeeded.",
    ),
    Metric(
        name="db_client_connection_count",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        labels=(*_POOL, "db_client_connection_state"),
        text="Connections of the app's pools, idle or used.",
    ),
    Metric(
        name="db_client_connection_max",
        kind=Kind.GAUGE,
        source=Source.APP,
        unit=Unit.NONE,
        labels=_POOL,
        text="Connections that the pools may open.",
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
        text="Checkouts that gave up.",
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
        text="Planned values of a service, by the name of the decision as explain shows it.",
    ),
    Metric(
        name="fastapi_operator_condition",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("namespace", SERVICE_SERIES_LABEL, "condition", "reason"),
        text="1 for each condition of a service that tells of trouble: a part that is not ready, "
        "or Stalled.",
    ),
    Metric(
        name="fastapi_operator_pass_duration_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.OPERATOR,
        unit=Unit.SECONDS,
        labels=("outcome",),
        text="Duration of a pass over one service.",
    ),
    Metric(
        name="fastapi_operator_writes",
        kind=Kind.COUNTER,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("kind", "why"),
        text="Writes of the operator by kind and cause.",
    ),
    Metric(
        name="fastapi_operator_watch_events",
        kind=Kind.COUNTER,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("kind",),
        text="Watch events by kind.",
    ),
    Metric(
        name="fastapi_operator_api_requests",
        kind=Kind.COUNTER,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        labels=("verb", "resource", "code"),
        text="Requests to the API server; code 0 is no answer.",
    ),
    Metric(
        name="fastapi_operator_api_request_duration_seconds",
        kind=Kind.HISTOGRAM,
        source=Source.OPERATOR,
        unit=Unit.SECONDS,
        labels=("verb",),
        text="Duration of requests to the API server.",
    ),
    Metric(
        name="fastapi_operator_queue_depth",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        text="Services that wait for a pass.",
    ),
    Metric(
        name="fastapi_operator_queue_oldest_wait_seconds",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.SECONDS,
        text="How long the longest waiting service has been due.",
    ),
    Metric(
        name="fastapi_operator_rollouts_waiting",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        text="Services that wait for their turn to get what a new operator version changes.",
    ),
    Metric(
        name="fastapi_operator_delete_brake",
        kind=Kind.GAUGE,
        source=Source.OPERATOR,
        unit=Unit.NONE,
        text="1 while pruning is stopped by too many deletes in a minute.",
    ),
)

_BY_NAME = {metric.name: metric for metric in METRICS}


def metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        KeyError: The table has no such metric.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise KeyError(f"{name} is not in the table of metrics") from None
