"""The SLO of a service and the rest of its error budget."""

from fastapi_operator.observability.grafana import Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import CHOSEN, OF_RULES

_PERMITTED = f"1 - {planned_series('observability.availability_percent', CHOSEN)} / 100"


def _violations(window: str) -> str:
    return f"max by (slo) (fastapi_service:broken:ratio_rate{window}{{{OF_RULES}}})"


_LEFT = (
    "1 - sum by (slo) (sum_over_time(fastapi_service:broken:rate5m"
    f'{{{OF_RULES}, slo="availability"}}[30d])) / on () group_left () '
    f"sum (sum_over_time(fastapi_service:requests:rate5m{{{OF_RULES}}}[30d])) "
    f"/ on () group_left () ({_PERMITTED})"
)

SLO = Row(
    title="SLO and error budget",
    panels=(
        Panel(
            title="Error budget left of 30 days",
            text="The share of the budget that is left. At zero, prefer reliability to new "
            "versions. If the panel is empty, the service has no SLO: set spec.observability.slo.",
            unit=Unit.RATIO,
            kind="stat",
            width=6,
            empty="No SLO",
            bounds=(0.1, 0.5),
            low=True,
            most=1,
            queries=(Query(_LEFT, "{{slo}}"),),
        ),
        Panel(
            title="Requests that violate the SLO",
            text="Above the dashed line the budget shrinks. If it rises suddenly, compare that "
            "moment with rollouts and with the rows below.",
            unit=Unit.RATIO,
            width=18,
            empty="No SLO",
            queries=(
                Query(_violations("1h"), "{{slo}} within 1 h"),
                Query(_violations("6h"), "{{slo}} within 6 h"),
                Query(_PERMITTED, "permitted", line=True),
            ),
        ),
    ),
)
