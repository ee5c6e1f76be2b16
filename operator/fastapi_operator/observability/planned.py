"""The planned values that the operator tells as metrics: lines beside what is used.

Alerts and dashboards read them too, so that a bound is a service's own and not a guess for all.
"""

from collections.abc import Mapping

from fastapi_operator.observability.metrics import metric
from fastapi_operator.tuning.plan import Plan

# At most so many series a service, most services far fewer; each is read by a panel or an alert.
PLANNED = frozenset(
    {
        "server.threads",
        "server.max_in_flight",
        "compute.cpu_request_millicores",
        "compute.memory_limit_bytes",
        "scaling.min_replicas",
        "scaling.max_replicas",
        "scaling.target_in_flight",
        "database.max_connections",
        "database.service_connections",
        "postgres.cpu_millicores",
        "pooler.max_db_connections",
        "pooler.max_client_connections",
        "cache.maxmemory_bytes",
        "queue.maxmemory_bytes",
        "observability.availability_percent",
    }
)


def planned(plan: Plan) -> Mapping[str, float]:
    """The planned values of a service by the name of their decision."""
    return {
        decision.name: float(decision.value)
        for decision in plan.decisions()
        if decision.name in PLANNED
    }


def planned_series(decision: str, where: str = "") -> str:
    """The series of one planned value, for a query.

    Args:
        decision: The name of the decision.
        where: Further matchers, such as those that choose a service.

    Raises:
        KeyError: The operator does not tell that value.
    """
    if decision not in PLANNED:
        raise KeyError(f"{decision} is not among the planned values that the operator tells")
    matchers = f'{where}, decision="{decision}"' if where else f'decision="{decision}"'
    return f"{metric('fastapi_operator_planned').series}{{{matchers}}}"
