"""PgBouncer, PostgreSQL and their volume."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.grafana import Column, Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    CHOSEN,
    CLAIMS,
    COMPONENT,
    chosen,
    container_of,
    joined,
    largest,
    rate,
    total,
)
from fastapi_operator.parts import Part

_POOLS = "pgbouncer_pools"
_CONTAINER = container_of(Part.DATABASE)
_CLAIMS = f'namespace="$namespace", persistentvolumeclaim=~"$service-{CLAIMS}"'
_INDEX_BLOCKS = " + ".join(
    f"increase(pg_statio_user_indexes_idx_blks_{kind}_total{{{CHOSEN}}}[1d])"
    for kind in ("hit", "read")
)
VOLUME_FREE = " / ".join(
    f"sum by (persistentvolumeclaim) (kubelet_volume_stats_{what}_bytes{{{_CLAIMS}}})"
    for what in ("available", "capacity")
)

CPU = (
    "sum by (pod) ("
    + joined(
        "rate(container_cpu_usage_seconds_total"
        f'{{namespace="$namespace", {_CONTAINER}}}[$__rate_interval])',
        chosen(f'{COMPONENT}="database"'),
    )
    + ")"
)

POOLER = Row(
    title="PgBouncer",
    panels=(
        Panel(
            title="Clients",
            text="If clients wait while the database is idle, the pools are too small; if it is "
            "busy, the database is too small. The dashed line is the limit of each instance.",
            unit=Unit.NONE,
            queries=(
                Query(total(f"{_POOLS}_client_active_connections"), "active"),
                Query(total(f"{_POOLS}_client_waiting_connections"), "waiting"),
                Query(
                    planned_series("pooler.max_client_connections", CHOSEN),
                    "limit of an instance",
                    line=True,
                ),
            ),
        ),
        Panel(
            title="Server connections",
            text="If clients wait and the active connections reach the dashed line, the pool is "
            "used up. A larger database raises the limit.",
            unit=Unit.NONE,
            queries=(
                Query(
                    f"max ({total(f'{_POOLS}_server_active_connections', 'pod')})",
                    "active, most of an instance",
                ),
                Query(
                    f"max ({total(f'{_POOLS}_server_idle_connections', 'pod')})",
                    "idle, most of an instance",
                ),
                Query(
                    planned_series("pooler.max_db_connections", CHOSEN),
                    "planned for an instance",
                    line=True,
                ),
            ),
        ),
        Panel(
            title="Longest wait of a client",
            text="If it stays above the line, see the runbook pooler-clients-waiting.",
            unit=Unit.SECONDS,
            bounds=(bounds.POOLER_WAIT_SECONDS,),
            queries=(
                Query(
                    f"max by (pod) ({_POOLS}_client_maxwait_seconds{{{CHOSEN}}})",
                    "{{pod}}",
                ),
            ),
        ),
    ),
)

DATABASE = Row(
    title="PostgreSQL",
    panels=(
        Panel(
            title="Connections against the budget",
            text="All connections by state. If many are idle in transaction, the app holds "
            "transactions open. If they are near the upper line, other clients use this database.",
            unit=Unit.NONE,
            queries=(
                Query(total("pg_stat_activity_count", "state"), "{{state}}"),
                Query(total("cnpg_backends_total", "state"), "{{state}}"),
                Query(
                    planned_series("database.max_connections", CHOSEN),
                    "planned max_connections",
                    line=True,
                ),
                Query(
                    planned_series("database.service_connections", CHOSEN),
                    "planned for the service",
                    line=True,
                ),
            ),
        ),
        Panel(
            title="Replicas of CloudNativePG",
            text="Connected to the primary. With durability Required, writes wait while there is "
            "none; kubectl get pods shows which instance is missing, and its events the reason.",
            unit=Unit.NONE,
            queries=(
                Query(
                    f"max by (pod) (cnpg_pg_replication_streaming_replicas{{{CHOSEN}}}) > 0",
                    "of {{pod}}",
                ),
            ),
            empty="Not CloudNativePG, or no replica streams",
        ),
        Panel(
            title="Lag of replicas",
            text="Seconds by which a replica of CloudNativePG is behind. If it grows, the replica "
            "needs more CPU, or the network is slow; a failover waits until it has caught up.",
            unit=Unit.SECONDS,
            queries=(Query(f"max by (pod) (cnpg_pg_replication_lag{{{CHOSEN}}})", "{{pod}}"),),
            empty="Not CloudNativePG",
        ),
        Panel(
            title="CPU against its cores",
            text="At the dashed line the database is saturated. Fix slow statements first, then "
            "raise spec.postgres.resources.",
            unit=Unit.NONE,
            queries=(
                Query(CPU, "{{pod}}"),
                Query(
                    f"{planned_series('postgres.cpu_millicores', CHOSEN)} / 1000",
                    "planned cores",
                    line=True,
                ),
            ),
        ),
        Panel(
            title="Mean time of a statement",
            text="If it rises with load, the database is saturated. If it rises without load, a "
            "query plan changed or an index is missing.",
            unit=Unit.SECONDS,
            queries=(
                Query(
                    f"{rate('pg_stat_statements_seconds_total')} / "
                    f"{rate('pg_stat_statements_calls_total')}",
                    "mean",
                ),
            ),
        ),
        Panel(
            title="Time by statement",
            text="Seconds of work per second, for the five statements with the most. The table has "
            "their texts.",
            unit=Unit.NONE,
            queries=(
                Query(
                    largest(5, rate("pg_stat_statements_seconds_total", "queryid"), "queryid"),
                    "{{queryid}}",
                ),
            ),
        ),
        Panel(
            title="Slowest statements",
            text="Mean time of a call within the last hour. Run EXPLAIN on the first, with typical "
            "values.",
            unit=Unit.SECONDS,
            kind="table",
            width=16,
            columns=(
                Column("queryid", "Id", width=190),
                Column("Value", "Mean time", width=110),
                Column("query", "Statement"),
            ),
            queries=(
                Query(
                    "topk(10, (sum by (queryid) "
                    f"(increase(pg_stat_statements_seconds_total{{{CHOSEN}}}[1h])) / "
                    "sum by (queryid) "
                    f"(increase(pg_stat_statements_calls_total{{{CHOSEN}}}[1h]) > 0)) "
                    "* on (queryid) group_left (query) "
                    f"max by (queryid, query) (pg_stat_statements_query_id{{{CHOSEN}}}))",
                    "{{query}}",
                ),
            ),
        ),
        Panel(
            title="Rows read by sequential scans",
            text="By table, per second. If the rate stays high, an index is missing: see the "
            "runbook sequential-scans.",
            unit=Unit.PER_SECOND,
            queries=(
                Query(
                    largest(5, rate("pg_stat_user_tables_seq_tup_read", "relname"), "relname"),
                    "{{relname}}",
                ),
            ),
        ),
        Panel(
            title="Indexes not read for a day",
            empty="Each index was read",
            text="They only slow down writes. Before you drop one, check that it does not enforce "
            "uniqueness and that no rare report needs it.",
            unit=Unit.NONE,
            kind="table",
            columns=(Column("relname", "Table"), Column("indexrelname", "Index")),
            queries=(
                Query(f"sum by (relname, indexrelname) ({_INDEX_BLOCKS}) == 0", "{{indexrelname}}"),
            ),
        ),
        Panel(
            title="Volumes, free",
            text="Below the lines, raise the size of that part's storage; the volume grows in "
            "place.",
            unit=Unit.RATIO,
            bounds=(bounds.VOLUME_FREE_LAST, bounds.VOLUME_FREE),
            low=True,
            most=1,
            queries=(Query(VOLUME_FREE, "{{persistentvolumeclaim}}"),),
        ),
    ),
)
