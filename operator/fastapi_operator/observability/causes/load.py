"""How loaded database and pooler are, which alerts of other parts look at too."""

from fastapi_operator.observability import bounds
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import (
    OF_SERVICES,
    SERVICE,
    by_service,
    joined,
    of_component,
)

_CORES = f"({planned_series('postgres.cpu_millicores')} / 1000)"
_ACTIVE_PER_CORE = (
    by_service(f'avg_over_time(pg_stat_activity_count{{{OF_SERVICES}, state="active"}}[5m])')
    + f" / on ({SERVICE}) {_CORES}"
)
_DATABASE_CPU = (
    by_service(
        joined(
            'rate(container_cpu_usage_seconds_total{container="postgres"}[5m])',
            of_component("database"),
        )
    )
    + f" / on ({SERVICE}) {_CORES}"
)
SATURATED = (
    f"({_ACTIVE_PER_CORE} > {bounds.DATABASE_ACTIVE_PER_CORE} "
    f"or {_DATABASE_CPU} > {bounds.DATABASE_CPU_USED})"
)
UNSATURATED = f"unless on ({SERVICE}) {SATURATED}"
POOLER_WAITS = (
    f"(max by ({SERVICE}) (pgbouncer_pools_client_maxwait_seconds{{{OF_SERVICES}}})"
    f" > {bounds.POOLER_WAIT_SECONDS})"
)
