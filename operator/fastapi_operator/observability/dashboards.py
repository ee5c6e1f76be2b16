"""The dashboards of the operator: one service, all services, the operator itself.

Monitoring objects copy a label from the pods of a service, so that its series can be selected.
"""

from fastapi_operator.naming import SERVICE_SERIES_LABEL
from fastapi_operator.observability.grafana import Dashboard, Variable
from fastapi_operator.observability.panels import (
    app,
    canary,
    controller,
    database,
    fleet,
    lifecycle,
    operands,
    slo,
    state,
)
from fastapi_operator.observability.promql import CHOSEN

# Every service has this series, even if the app has no metrics.
_SERVICES = "fastapi_operator_planned"

SERVICE = Dashboard(
    name="service",
    title="FastAPI service",
    text="Is one FastAPIService well, and if not, why: its state, requests, SLO, workers, "
    "database, cache, proxy and pods. Dashed lines are planned values.",
    variables=(
        Variable("namespace", "Namespace", f"label_values({_SERVICES}, namespace)"),
        Variable(
            "service",
            "Service",
            f'label_values({_SERVICES}{{namespace="$namespace"}}, {SERVICE_SERIES_LABEL})',
        ),
        Variable(
            "route",
            "Route",
            f"label_values(http_server_request_duration_seconds_count{{{CHOSEN}}}, http_route)",
            several=True,
        ),
    ),
    rows=(
        state.STATE,
        app.REQUESTS,
        slo.SLO,
        app.WORKERS,
        app.POOLS,
        database.POOLER,
        database.DATABASE,
        operands.STORES,
        operands.PROXY,
        canary.CANARY,
        lifecycle.SCALING,
    ),
    annotations=lifecycle.MARKS,
)

FLEET = Dashboard(
    name="fleet",
    title="FastAPI services",
    text="All FastAPIServices: their state, traffic, saturation and recommendations.",
    variables=(
        Variable("namespace", "Namespace", f"label_values({_SERVICES}, namespace)", several=True),
    ),
    rows=(fleet.STATE, fleet.TRAFFIC, fleet.SATURATION, fleet.TUNING),
)

OPERATOR = Dashboard(
    name="operator",
    title="FastAPI operator",
    text="The operator itself: its reconciliations, writes and requests.",
    variables=(),
    rows=(controller.STATE, controller.WORK, controller.CLUSTER),
)

DASHBOARDS: tuple[Dashboard, ...] = (SERVICE, FLEET, OPERATOR)
