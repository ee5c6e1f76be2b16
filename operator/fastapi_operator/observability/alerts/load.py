"""The load of event loop, pooler and database, which alerts on several parts query."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    OF_SERVICES,
    SERVICE,
    by_service,
    container_of,
    joined,
    of_component,
)
from fastapi_operator.parts import Part

LOOP_LAG = (
    "histogram_quantile(0.99, "
    + by_service("rate(fastapi_worker_event_loop_lag_seconds_bucket[5m])", "le")
    + ")"
)
# A late event loop makes the waits that the app measures look longer than they are.
LOOP_ON_TIME = f"unless on ({SERVICE}) {LOOP_LAG} > {bounds.LOOP_LAG_BUSY_SECONDS}"
CPU = by_service("rate(fastapi_worker_cpu_seconds_total[5m])")
CPU_PER_WORKER = f"{CPU} / {by_service('fastapi_worker_processes')}"

_CORES = f"({planned_series('postgres.cpu_millicores')} / 1000)"
_BUSY = f'state="active", wait_event_type!~"{"|".join(sorted(bounds.DATABASE_IDLE_WAITS))}"'
_ACTIVE_PER_CORE = (
    by_service(f"avg_over_time(pg_stat_activity_count{{{OF_SERVICES}, {_BUSY}}}[5m])")
    + f" / on ({SERVICE}) {_CORES}"
)
_DATABASE_CPU = (
    by_service(
        joined(
            f"rate(container_cpu_usage_seconds_total{{{container_of(Part.DATABASE)}}}[5m])",
            of_component(Part.DATABASE),
        )
    )
    + f" / on ({SERVICE}) {_CORES}"
)
SATURATED = (
    f"({_ACTIVE_PER_CORE} > {bounds.DATABASE_ACTIVE_PER_CORE} "
    f"or {_DATABASE_CPU} > {bounds.DATABASE_CPU_USED})"
)
UNSATURATED = f"unless on ({SERVICE}) {SATURATED}"
_POOLER_CLIENTS = f"pgbouncer_pools_client_waiting_connections{{{OF_SERVICES}}}"
# On average a client waits, not necessarily the same one.
POOLER_QUEUES = by_service(f"avg_over_time({_POOLER_CLIENTS}[5m])") + " >= 1"
POOLER_WAITS = (
    f"(max by ({SERVICE}) (pgbouncer_pools_client_maxwait_seconds{{{OF_SERVICES}}})"
    f" > {bounds.POOLER_WAIT_SECONDS} or {POOLER_QUEUES})"
)
