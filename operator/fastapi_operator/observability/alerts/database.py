"""What slows or stops pooler and database, and what threatens the data."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.alerts.alert import NUMBER, PERCENT, SECONDS, Alert
from fastapi_operator.observability.alerts.load import POOLER_QUEUES, SATURATED, UNSATURATED
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    OF_SERVICES,
    SERVICE,
    by_service,
    joined,
    of_component,
    service_from,
)

POOLER = (
    Alert(
        name="FastAPIPoolerClientsWaiting",
        group="pooler",
        expression=f"{POOLER_QUEUES}\n{UNSATURATED}",
        held="5m",
        summary=f"{NUMBER} clients of PgBouncer wait for a server connection, though the database "
        "has room",
        page="pooler-clients-waiting",
    ),
    Alert(
        name="FastAPIPoolerNearBudget",
        group="pooler",
        expression=f"max by ({SERVICE}) (sum by ({SERVICE}, pod) ("
        f"pgbouncer_pools_client_active_connections{{{OF_SERVICES}}} "
        f"+ pgbouncer_pools_client_waiting_connections{{{OF_SERVICES}}})"
        f" / on ({SERVICE}) group_left () {planned_series('pooler.max_client_connections')})"
        f" > {bounds.POOLER_CLIENTS_USED}",
        held="10m",
        summary=f"{PERCENT} of the clients that PgBouncer admits are at work",
        page="pooler-near-budget",
    ),
    Alert(
        name="FastAPIPoolerCPU",
        group="pooler",
        expression=f"max by ({SERVICE}) ("
        + joined(
            'rate(container_cpu_usage_seconds_total{container="pgbouncer"}[5m])',
            of_component("pooler"),
        )
        + f") > {bounds.POOLER_CPU_CORES}",
        held="10m",
        summary=f"PgBouncer uses {NUMBER} cores, and its one thread has no more than one",
        page="pooler-cpu",
    ),
)

DATABASE = (
    Alert(
        name="FastAPIDatabaseDown",
        group="database",
        expression=f"max by ({SERVICE}) (pg_up{{{OF_SERVICES}}}) == 0",
        held="2m",
        summary="PostgreSQL does not answer (pg_up is {{ $value }})",
        page="database-down",
        severity="critical",
    ),
    Alert(
        name="FastAPIDatabaseSaturated",
        group="database",
        expression=SATURATED,
        held="10m",
        summary=f"the database runs at {NUMBER} times its cores (CPU, or statements at once)",
        page="database-saturated",
    ),
    Alert(
        name="FastAPIDatabaseNearMaxConnections",
        group="database",
        expression=by_service(f"pg_stat_activity_count{{{OF_SERVICES}}}")
        + f" / on ({SERVICE}) max by ({SERVICE}) (pg_settings_max_connections{{{OF_SERVICES}}})"
        f" > {bounds.DATABASE_CONNECTIONS_USED}",
        held="5m",
        summary=f"{PERCENT} of max_connections are taken",
        page="database-near-max-connections",
    ),
    Alert(
        name="FastAPISequentialScans",
        group="database",
        expression=by_service(
            f"rate(pg_stat_user_tables_seq_tup_read{{{OF_SERVICES}}}[10m])", "relname"
        )
        + f" / on ({SERVICE}, relname) ("
        + by_service(f"rate(pg_stat_user_tables_seq_scan{{{OF_SERVICES}}}[10m])", "relname")
        + f" > {bounds.SCANS_PER_SECOND}) > {bounds.SCANNED_ROWS}",
        held="15m",
        summary="each scan of table {{ $labels.relname }} reads "
        f"{NUMBER} rows, again and again: an index is missing",
        page="sequential-scans",
    ),
)


def _volume_free() -> str:
    free = (
        "kubelet_volume_stats_available_bytes{persistentvolumeclaim=~"
        '".+-(postgres|redis|queue)-(data|backup)"} / kubelet_volume_stats_capacity_bytes'
    )
    named = service_from(
        "persistentvolumeclaim", "(.+)-(postgres|redis|queue)-(data|backup)", f"({free})"
    )
    return f"{named} and on ({SERVICE}) fastapi_operator_planned"


_BACKUP_INTERVAL = "(kube_cronjob_next_schedule_time - kube_cronjob_status_last_schedule_time)"
STORAGE = (
    Alert(
        name="FastAPIVolumeFilling",
        group="storage",
        expression=f"({_volume_free()}) < {bounds.VOLUME_FREE}",
        held="15m",
        summary=f"{PERCENT} of volume {{{{ $labels.persistentvolumeclaim }}}} are free",
        page="volume-filling",
    ),
    Alert(
        name="FastAPIVolumeFull",
        group="storage",
        expression=f"({_volume_free()}) < {bounds.VOLUME_FREE_LAST}",
        held="5m",
        summary=f"{PERCENT} of volume {{{{ $labels.persistentvolumeclaim }}}} are free: writes "
        "are about to fail",
        page="volume-filling",
        severity="critical",
    ),
    Alert(
        name="FastAPIBackupTooOld",
        group="storage",
        expression=service_from(
            "cronjob",
            "(.+)-postgres-backup",
            '(time() - kube_cronjob_status_last_successful_time{cronjob=~".+-postgres-backup"}\n'
            f"> on (namespace, cronjob) {bounds.BACKUP_AGE_INTERVALS} * {_BACKUP_INTERVAL})",
        )
        + f"\nand on ({SERVICE}) fastapi_operator_planned",
        held="15m",
        summary=f"the last backup that succeeded is {SECONDS} old",
        page="backup-too-old",
    ),
)
