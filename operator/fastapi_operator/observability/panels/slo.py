"""What the service promises and what is left of it."""

from fastapi_operator.observability.grafana import Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import CHOSEN

_OF_RULES = 'namespace="$namespace", service="$service"'
_ALLOWED = f"1 - {planned_series('observability.availability_percent', CHOSEN)} / 100"


def _broken(window: str) -> str:
    return f"max by (slo) (fastapi_service:broken:ratio_rate{window}{{{_OF_RULES}}})"


_LEFT = (
    "1 - sum by (slo) (sum_over_time(fastapi_service:broken:rate5m"
    f'{{{_OF_RULES}, slo="availability"}}[30d])) / on () group_left () '
    f"sum (sum_over_time(fastapi_service:requests:rate5m{{{_OF_RULES}}}[30d])) "
    f"/ on () group_left () ({_ALLOWED})"
)

SLO = Row(
    title="Promise and error budget",
    panels=(
        Panel(
            title="Error budget left of 30 days",
            text="What may still fail. At nought, let reliability come before new versions. Empty: "
            "the service promises nothing, write spec.observability.slo.",
            unit=Unit.RATIO,
            kind="stat",
            width=6,
            bounds=(0.1, 0.5),
            low=True,
            most=1,
            queries=(Query(_LEFT, "{{slo}}"),),
        ),
        Panel(
            title="Requests that break the promise",
            text="Above the dashed line the budget shrinks. A step names the moment: look at the "
            "marks of rollouts and at the rows below.",
            unit=Unit.RATIO,
            width=10,
            queries=(
                Query(_broken("1h"), "{{slo}} within 1 h"),
                Query(_broken("6h"), "{{slo}} within 6 h"),
                Query(_ALLOWED, "allowed", line=True),
            ),
        ),
        Panel(
            title="Alerts that fire",
            text="Each has a page in the runbooks with what to check and what to do. Begin with "
            "critical ones.",
            unit=Unit.NONE,
            kind="table",
            queries=(
                Query(
                    "sum by (alertname, severity, reason) "
                    f'(ALERTS{{{_OF_RULES}, alertstate="firing"}})',
                    "{{alertname}}",
                ),
            ),
        ),
    ),
)
