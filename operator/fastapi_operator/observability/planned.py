"""The planned values that the operator exposes as metrics.

Dashboards draw them as lines, and alerts use them as the bounds of each service.
"""

from collections.abc import Mapping

from fastapi_operator.observability.metrics import metric
from fastapi_operator.tuning.plan import Plan

# The series per service, at most. A panel or an alert reads each of them.
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
    """The planned values of a service, by the name of their decision."""
    return {
        decision.name: float(decision.value)
        for decision in plan.decisions()
        if decision.name in PLANNED
    }


def planned_series(decision: str, matching: str = "") -> str:
    """Returns the series of one planned value, for a query.

    Args:
        decision: The name of the decision.
        matching: Further matchers, for example those that select a service.

    Raises:
        KeyError: The operator does not expose this value.
    """
    if decision not in PLANNED:
        raise KeyError(f"{decision} is not among the exposed planned values")
    matchers = f'{matching}, decision="{decision}"' if matching else f'decision="{decision}"'
    return f"{metric('fastapi_operator_planned').series}{{{matchers}}}"
