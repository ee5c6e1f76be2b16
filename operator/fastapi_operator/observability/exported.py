"""Metrics of other programs that alerts, dashboards and ``doctor`` read.

Names and labels are those of the programs, which also expose further metrics.
"""

from fastapi_operator.observability.metrics import Kind, Metric, Source, Unit

_STATEMENT = ("user", "datname", "queryid")
_TABLE = ("datname", "schemaname", "relname")
_POOL = ("database", "user")
_CONTAINER = ("namespace", "pod", "container")
_CLAIM = ("namespace", "persistentvolumeclaim")
_AUTOSCALER = ("namespace", "horizontalpodautoscaler")
_CRON_JOB = ("namespace", "cronjob")


def _gauge(
    source: Source, name: str, text: str, unit: Unit = Unit.NONE, labels: tuple[str, ...] = ()
) -> Metric:
    return Metric(name, Kind.GAUGE, source, unit, text, labels)


def _counter(
    source: Source, name: str, text: str, unit: Unit = Unit.NONE, labels: tuple[str, ...] = ()
) -> Metric:
    return Metric(name, Kind.COUNTER, source, unit, text, labels, is_bare=True)


def _histogram(source: Source, name: str, text: str, labels: tuple[str, ...] = ()) -> Metric:
    return Metric(name, Kind.HISTOGRAM, source, Unit.SECONDS, text, labels)


_PROXY = (
    _histogram(
        Source.PROXY,
        "fastapi_proxy_request_duration_seconds",
        "Duration of requests, measured by nginx for the client.",
        ("http_request_method", "http_response_status_code"),
    ),
    _histogram(
        Source.PROXY,
        "fastapi_proxy_upstream_duration_seconds",
        "Time that nginx waited for the app.",
    ),
    _counter(
        Source.PROXY,
        "fastapi_proxy_cache_answers_total",
        "Responses by cache status of nginx.",
        labels=("cache_status",),
    ),
    _counter(
        Source.PROXY,
        "fastapi_proxy_shed_total",
        "Requests that nginx rejected: all pods have as many as they may (pods), a limit of nginx "
        "is reached (proxy), or a client exceeds its rate (rate).",
        labels=("reason",),
    ),
    _gauge(Source.PROXY, "fastapi_proxy_connections", "Connections of clients to nginx."),
    _histogram(
        Source.PROXY,
        "fastapi_proxy_version_request_duration_seconds",
        "Duration of requests during a canary, by the version to which nginx assigned them, and "
        "the class of their status; of a stream, the time to its first byte. A request that a pod "
        "of the canary broke has failed, also if the stable version repeated it.",
        ("canary", "step", "version", "status"),
    ),
    _counter(
        Source.PROXY,
        "fastapi_proxy_version_fallbacks_total",
        "Requests of a canary that the stable version served because no pod of the canary could "
        "take them.",
        labels=("canary", "step", "version"),
    ),
    _histogram(
        Source.PROXY,
        "caddy_http_request_duration_seconds",
        "Duration of requests in each handler of Caddy.",
        ("server", "handler", "method", "code"),
    ),
)
_POSTGRES = (
    _gauge(Source.POSTGRES, "pg_up", "1 if PostgreSQL responds to its exporter."),
    _gauge(
        Source.POSTGRES,
        "pg_stat_activity_count",
        "Connections by state.",
        labels=(
            "datname",
            "state",
            "usename",
            "application_name",
            "backend_type",
            "wait_event_type",
            "wait_event",
        ),
    ),
    _gauge(
        Source.POSTGRES,
        "pg_settings_max_connections",
        "The setting max_connections.",
        labels=("server",),
    ),
    _counter(
        Source.POSTGRES,
        "pg_stat_database_active_time_seconds_total",
        "Time spent in statements; since PostgreSQL 14.",
        Unit.SECONDS,
        ("datid", "datname"),
    ),
    _counter(
        Source.POSTGRES,
        "pg_stat_statements_seconds_total",
        "Time spent in a statement.",
        Unit.SECONDS,
        _STATEMENT,
    ),
    _counter(
        Source.POSTGRES,
        "pg_stat_statements_calls_total",
        "Calls of a statement.",
        labels=_STATEMENT,
    ),
    # The exporter declares a counter, but the value is 1 for each statement.
    _gauge(
        Source.POSTGRES,
        "pg_stat_statements_query_id",
        "1 for each statement, with its text.",
        labels=("queryid", "query"),
    ),
    _counter(
        Source.POSTGRES,
        "pg_stat_user_tables_seq_scan",
        "Sequential scans of a table.",
        labels=_TABLE,
    ),
    _counter(
        Source.POSTGRES,
        "pg_stat_user_tables_seq_tup_read",
        "Rows read by sequential scans.",
        labels=_TABLE,
    ),
    *(
        _counter(
            Source.POSTGRES,
            f"pg_statio_user_indexes_idx_blks_{kind}_total",
            f"Blocks of an index {origin}.",
            labels=("schemaname", "relname", "indexrelname"),
        )
        for kind, origin in (("hit", "found in memory"), ("read", "read from disk"))
    ),
)
_CLOUDNATIVE_PG = (
    _gauge(Source.CLOUDNATIVE_PG, "cnpg_collector_up", "1 if the PostgreSQL of an instance runs."),
    _gauge(
        Source.CLOUDNATIVE_PG,
        "cnpg_backends_total",
        "Connections by state.",
        labels=("datname", "state", "usename", "application_name"),
    ),
    _gauge(
        Source.CLOUDNATIVE_PG,
        "cnpg_pg_settings_setting",
        "A setting of PostgreSQL.",
        labels=("name",),
    ),
    _gauge(
        Source.CLOUDNATIVE_PG,
        "cnpg_pg_replication_lag",
        "Age of the newest transaction that a replica has applied, while it has not applied all.",
        Unit.SECONDS,
    ),
    _gauge(
        Source.CLOUDNATIVE_PG,
        "cnpg_pg_replication_streaming_replicas",
        "Replicas that are connected to an instance.",
    ),
)
_PGBOUNCER = (
    *(
        _gauge(Source.PGBOUNCER, f"pgbouncer_pools_{name}_connections", text, labels=_POOL)
        for name, text in (
            ("client_active", "Clients that have a server connection."),
            ("client_waiting", "Clients that wait for a server connection."),
            ("server_active", "Server connections in use by a client."),
            ("server_idle", "Idle server connections."),
        )
    ),
    _gauge(
        Source.PGBOUNCER,
        "pgbouncer_pools_client_maxwait_seconds",
        "The longest current wait of a client.",
        Unit.SECONDS,
        _POOL,
    ),
    *(
        _counter(
            Source.PGBOUNCER,
            f"pgbouncer_stats_totals_{name}_seconds_total",
            text,
            Unit.SECONDS,
            ("database",),
        )
        for name, text in (
            ("client_wait", "Time that clients waited for a server connection."),
            ("queries_duration", "Time spent in statements, measured by PgBouncer."),
        )
    ),
)
_REDIS = (
    _gauge(Source.REDIS, "redis_up", "1 if the server responds to its exporter."),
    _gauge(Source.REDIS, "redis_memory_used_bytes", "Memory in use.", Unit.BYTES),
    _gauge(Source.REDIS, "redis_memory_max_bytes", "The setting maxmemory.", Unit.BYTES),
    *(
        _counter(Source.REDIS, f"redis_{name}_total", text)
        for name, text in (
            ("keyspace_hits", "Lookups that found their key."),
            ("keyspace_misses", "Lookups that did not find their key."),
            ("evicted_keys", "Keys evicted because memory was full."),
            ("expired_keys", "Keys whose time to live had passed."),
        )
    ),
    _counter(
        Source.REDIS,
        "redis_errors_total",
        "Error responses by their first word; OOM is a write rejected because memory was full.",
        labels=("err",),
    ),
    _counter(Source.REDIS, "redis_commands_total", "Calls by command.", labels=("cmd",)),
    _counter(
        Source.REDIS,
        "redis_commands_duration_seconds_total",
        "Time spent in a command.",
        Unit.SECONDS,
        ("cmd",),
    ),
)
_KUBELET = (
    _counter(
        Source.KUBELET,
        "container_cpu_usage_seconds_total",
        "CPU time of a container.",
        Unit.SECONDS,
        _CONTAINER,
    ),
    _counter(
        Source.KUBELET,
        "container_cpu_cfs_periods_total",
        "CPU periods in which a container with a limit ran.",
        labels=_CONTAINER,
    ),
    _counter(
        Source.KUBELET,
        "container_cpu_cfs_throttled_periods_total",
        "CPU periods in which the limit throttled a container.",
        labels=_CONTAINER,
    ),
    _gauge(
        Source.KUBELET,
        "container_memory_working_set_bytes",
        "Memory that the OOM killer counts.",
        Unit.BYTES,
        _CONTAINER,
    ),
    _gauge(
        Source.KUBELET,
        "kubelet_volume_stats_available_bytes",
        "Free space of a volume.",
        Unit.BYTES,
        _CLAIM,
    ),
    _gauge(
        Source.KUBELET,
        "kubelet_volume_stats_capacity_bytes",
        "Size of a volume.",
        Unit.BYTES,
        _CLAIM,
    ),
)
_KUBE_STATE = (
    _counter(
        Source.KUBE_STATE,
        "kube_pod_container_status_restarts_total",
        "Restarts of a container.",
        labels=_CONTAINER,
    ),
    _gauge(
        Source.KUBE_STATE,
        "kube_pod_container_status_last_terminated_reason",
        "1 for the reason of a container's last termination.",
        labels=(*_CONTAINER, "reason"),
    ),
    *(
        _gauge(Source.KUBE_STATE, f"kube_horizontalpodautoscaler_{name}", text, labels=_AUTOSCALER)
        for name, text in (
            ("status_current_replicas", "Current pods of an autoscaler."),
            ("status_desired_replicas", "Desired pods of an autoscaler."),
            ("spec_min_replicas", "Minimum pods of an autoscaler."),
            ("spec_max_replicas", "Maximum pods of an autoscaler."),
        )
    ),
    _gauge(
        Source.KUBE_STATE,
        "kube_replicaset_created",
        "When a ReplicaSet was created, as Unix time: a rollout.",
        Unit.SECONDS,
        ("namespace", "replicaset"),
    ),
    _gauge(
        Source.KUBE_STATE,
        "kube_job_created",
        "When a Job was created, as Unix time.",
        Unit.SECONDS,
        ("namespace", "job_name"),
    ),
    *(
        _gauge(Source.KUBE_STATE, f"kube_cronjob_{name}_time", text, Unit.SECONDS, _CRON_JOB)
        for name, text in (
            ("status_last_successful", "When a run last succeeded, as Unix time."),
            ("status_last_schedule", "When a run last started, as Unix time."),
            ("next_schedule", "When the next run starts, as Unix time."),
        )
    ),
)

EXPORTED: tuple[Metric, ...] = (
    *_PROXY,
    *_POSTGRES,
    *_CLOUDNATIVE_PG,
    *_PGBOUNCER,
    *_REDIS,
    *_KUBELET,
    *_KUBE_STATE,
)
