"""The first row of a service: is it well, and if not, which part is the bottleneck."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.grafana import Column, Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.panels.database import CPU, VOLUME_FREE
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import CHOSEN, COMPONENT, OF_RULES, chosen, rate, total

_QUEUE = chosen(f'{COMPONENT}="queue"')
_PROCESSES = total("fastapi_worker_processes")


def _of_planned(used: str, decision: str) -> str:
    return f"max ({used}) / on () {planned_series(decision, CHOSEN)}"


STATE = Row(
    title="State",
    height=6,
    panels=(
        Panel(
            title="Failing conditions",
            text="If it is empty, all parts are ready. To see the messages of the conditions, run "
            "kubectl fastapi status.",
            unit=Unit.NONE,
            kind="table",
            empty="All conditions are True",
            width=7,
            columns=(Column("condition", "Condition", width=150), Column("reason", "Reason")),
            queries=(
                Query(
                    f"max by (condition, reason) (fastapi_operator_condition{{{CHOSEN}}})",
                    "{{condition}} {{reason}}",
                ),
            ),
        ),
        Panel(
            title="Firing alerts",
            text="Start with critical alerts. The link Runbooks above has a page for each of them.",
            unit=Unit.NONE,
            kind="table",
            empty="No alert fires",
            width=8,
            columns=(Column("alertname", "Alert"), Column("severity", "Severity", width=90)),
            queries=(
                Query(
                    f'sum by (alertname, severity) (ALERTS{{{OF_RULES}, alertstate="firing"}})',
                    "{{alertname}}",
                ),
            ),
        ),
        Panel(
            title="Used share of each part",
            text="A red part is the bottleneck, or soon will be. If several are red, requests wait "
            "for the last of them: start there, in its row below.",
            unit=Unit.RATIO,
            kind="bargauge",
            width=9,
            bounds=(bounds.PART_USED_MUCH, bounds.PART_USED_UP),
            most=1,
            queries=(
                Query(
                    f"{total('http_server_active_requests')} "
                    f"/ {total('fastapi_worker_in_flight_limit')}",
                    "Requests in flight",
                ),
                Query(
                    f"{rate('fastapi_worker_cpu_seconds_total')} / {_PROCESSES}",
                    "CPU of the workers",
                ),
                Query(
                    f"{total('fastapi_worker_threads_used')} / on () "
                    f"({planned_series('server.threads', CHOSEN)} * on () group_left () "
                    f"{_PROCESSES})",
                    "Threads",
                ),
                Query(
                    _of_planned(
                        total("fastapi_worker_resident_memory_bytes", "pod"),
                        "compute.memory_limit_bytes",
                    ),
                    "Memory of a pod",
                ),
                Query(
                    total(
                        "db_client_connection_count",
                        where=chosen('db_client_connection_state="used"'),
                    )
                    + f" / {total('db_client_connection_max')}",
                    "Pools of the app",
                ),
                Query(
                    _of_planned(
                        total("pgbouncer_pools_server_active_connections", "pod"),
                        "pooler.max_db_connections",
                    ),
                    "PgBouncer",
                ),
                Query(f"{_of_planned(CPU, 'postgres.cpu_millicores')} * 1000", "CPU of PostgreSQL"),
                Query(
                    _of_planned(total("pg_stat_activity_count"), "database.max_connections"),
                    "Connections of PostgreSQL",
                ),
                Query(
                    _of_planned(
                        total("redis_memory_used_bytes", where=_QUEUE), "queue.maxmemory_bytes"
                    ),
                    "Memory of the queue",
                ),
                Query(f"1 - min ({VOLUME_FREE})", "Fullest volume"),
            ),
        ),
    ),
)
