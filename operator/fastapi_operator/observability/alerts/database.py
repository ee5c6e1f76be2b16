"""Alerts on pooler, database, volumes and backups."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.alerts.alert import NUMBER, PERCENT, SECONDS, Alert
from fastapi_operator.observability.alerts.load import POOLER_QUEUES, SATURATED, UNSATURATED
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    CLAIMS,
    OF_SERVICES,
    SERVICE,
    by_service,
    container_of,
    joined,
    of_component,
    service_from,
)
from fastapi_operator.observability.units import percent
from fastapi_operator.parts import Part

POOLER = (
    Alert(
        name="FastAPIPoolerClientsWaiting",
        group="pooler",
        condition="on average at least one client of PgBouncer waits for a server connection, "
        "although the database has capacity",
        expression=f"{POOLER_QUEUES}\n{UNSATURATED}",
        held="5m",
        summary=f"{NUMBER} clients of PgBouncer wait for a server connection, although the "
        "database has capacity",
        page="pooler-clients-waiting",
    ),
    Alert(
        name="FastAPIPoolerNearBudget",
        group="pooler",
        condition=f"more than {percent(bounds.POOLER_CLIENTS_USED)} of the client connections that "
        "one PgBouncer permits are in use",
        expression=f"max by ({SERVICE}) (sum by ({SERVICE}, pod) ("
        f"pgbouncer_pools_client_active_connections{{{OF_SERVICES}}} "
        f"+ pgbouncer_pools_client_waiting_connections{{{OF_SERVICES}}})"
        f" / on ({SERVICE}) group_left () {planned_series('pooler.max_client_connections')})"
        f" > {bounds.POOLER_CLIENTS_USED}",
        held="10m",
        summary=f"{PERCENT} of the client connections that PgBouncer permits are in use",
        page="pooler-near-budget",
    ),
    Alert(
        name="FastAPIPoolerCPU",
        group="pooler",
        condition="a PgBouncer instance, which has one thread, uses more than "
        f"{bounds.POOLER_CPU_CORES:g} cores",
        expression=f"max by ({SERVICE}) ("
        + joined(
            f"rate(container_cpu_usage_seconds_total{{{container_of(Part.POOLER)}}}[5m])",
            of_component(Part.POOLER),
        )
        + f") > {bounds.POOLER_CPU_CORES}",
        held="10m",
        summary=f"PgBouncer uses {NUMBER} cores, and its single thread cannot use more than one",
        page="pooler-cpu",
    ),
)

_CONNECTIONS_USED = (
    by_service(f"pg_stat_activity_count{{{OF_SERVICES}}}")
    + f" / on ({SERVICE}) max by ({SERVICE}) (pg_settings_max_connections{{{OF_SERVICES}}})"
)
# Of the instance of CloudNativePG with the most connections.
_BACKENDS_USED = (
    f"max by ({SERVICE}) (sum by ({SERVICE}, pod) (cnpg_backends_total{{{OF_SERVICES}}})"
    f" / on ({SERVICE}, pod) max by ({SERVICE}, pod) ("
    f'cnpg_pg_settings_setting{{{OF_SERVICES}, name="max_connections"}}))'
)
DATABASE = (
    Alert(
        name="FastAPIDatabaseDown",
        group="database",
        condition="the exporter of PostgreSQL cannot connect to it, or no instance of "
        "CloudNativePG runs",
        expression=f"max by ({SERVICE}) ("
        f"pg_up{{{OF_SERVICES}}} or cnpg_collector_up{{{OF_SERVICES}}}) == 0",
        held="2m",
        summary="PostgreSQL does not respond (pg_up or cnpg_collector_up is {{ $value }})",
        page="database-down",
        severity="critical",
    ),
    Alert(
        name="FastAPIDatabaseSaturated",
        group="database",
        condition=f"PostgreSQL uses more than {percent(bounds.DATABASE_CPU_USED)} of its planned "
        f"cores, or executes more than {bounds.DATABASE_ACTIVE_PER_CORE} statements per core at "
        "once",
        expression=SATURATED,
        held="10m",
        summary=f"the database is saturated: {NUMBER} times its cores (CPU, or statements that "
        "execute at once)",
        page="database-saturated",
    ),
    Alert(
        name="FastAPIDatabaseNearMaxConnections",
        group="database",
        condition=f"more than {percent(bounds.DATABASE_CONNECTIONS_USED)} of max_connections are "
        "in use",
        expression=f"({_CONNECTIONS_USED} or {_BACKENDS_USED})"
        f" > {bounds.DATABASE_CONNECTIONS_USED}",
        held="5m",
        summary=f"{PERCENT} of max_connections are in use",
        page="database-near-max-connections",
    ),
    Alert(
        name="FastAPISequentialScans",
        group="database",
        condition="a table is scanned sequentially more often than every "
        f"{1 / bounds.SCANS_PER_SECOND:g} seconds, and each scan reads more than "
        f"{bounds.SCANNED_ROWS:,} rows",
        expression=by_service(
            f"rate(pg_stat_user_tables_seq_tup_read{{{OF_SERVICES}}}[10m])", "relname"
        )
        + f" / on ({SERVICE}, relname) ("
        + by_service(f"rate(pg_stat_user_tables_seq_scan{{{OF_SERVICES}}}[10m])", "relname")
        + f" > {bounds.SCANS_PER_SECOND}) > {bounds.SCANNED_ROWS}",
        held="15m",
        summary="each sequential scan of table {{ $labels.relname }} reads "
        f"{NUMBER} rows: an index is missing",
        page="sequential-scans",
    ),
)


def _volume_free() -> str:
    free = (
        f'kubelet_volume_stats_available_bytes{{persistentvolumeclaim=~".+-{CLAIMS}"}}'
        " / kubelet_volume_stats_capacity_bytes"
    )
    named = service_from("persistentvolumeclaim", f"(.+)-{CLAIMS}", f"({free})")
    return f"{named} and on ({SERVICE}) fastapi_operator_planned"


_BACKUP_INTERVAL = "(kube_cronjob_next_schedule_time - kube_cronjob_status_last_schedule_time)"
STORAGE = (
    Alert(
        name="FastAPIVolumeFilling",
        group="storage",
        condition=f"less than {percent(bounds.VOLUME_FREE)} of a volume is free",
        expression=f"({_volume_free()}) < {bounds.VOLUME_FREE}",
        held="15m",
        summary=f"{PERCENT} of volume {{{{ $labels.persistentvolumeclaim }}}} is free",
        page="volume-filling",
    ),
    Alert(
        name="FastAPIVolumeFull",
        group="storage",
        condition=f"less than {percent(bounds.VOLUME_FREE_LAST)} of a volume is free",
        expression=f"({_volume_free()}) < {bounds.VOLUME_FREE_LAST}",
        held="5m",
        summary=f"{PERCENT} of volume {{{{ $labels.persistentvolumeclaim }}}} is free: writes "
        "will soon fail",
        page="volume-filling",
        severity="critical",
    ),
    Alert(
        name="FastAPIBackupTooOld",
        group="storage",
        condition=f"the last successful backup is older than {bounds.BACKUP_AGE_INTERVALS:g} times "
        "the interval of its schedule",
        expression=service_from(
            "cronjob",
            "(.+)-postgres-backup",
            '(time() - kube_cronjob_status_last_successful_time{cronjob=~".+-postgres-backup"}\n'
            f"> on (namespace, cronjob) {bounds.BACKUP_AGE_INTERVALS} * {_BACKUP_INTERVAL})",
        )
        + f"\nand on ({SERVICE}) fastapi_operator_planned",
        held="15m",
        summary=f"the last successful backup is {SECONDS} old",
        page="backup-too-old",
    ),
)
