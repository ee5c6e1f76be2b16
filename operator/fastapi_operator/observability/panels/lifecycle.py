"""How a service grows and changes: autoscaling, and marks of rollouts and migrations."""

from fastapi_operator.observability.grafana import Annotation, Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import CHOSEN, COMPONENT, chosen

_APP = chosen(f'{COMPONENT}="app"')
_AUTOSCALER = 'namespace="$namespace", horizontalpodautoscaler=~"(keda-hpa-)?$service"'


# Marks are drawn at steps of a minute, and what is scraped each half minute is seen late.
_SEEN_SECONDS = 120


def _made(series: str, label: str, name: str) -> str:
    """Whether an object came into being just now; its condition may be over before a scrape."""
    where = f'namespace="$namespace", {label}=~"$service-{name}"'
    return f"time() - max by ({label}) ({series}{{{where}}}) < {_SEEN_SECONDS}"


SCALING = Row(
    title="Autoscaling and state",
    panels=(
        Panel(
            title="Pods",
            text="Wanted at the upper line for long: raise maxReplicas, if the connection budget "
            "allows. Up and down by the minute: raise scaleDownSeconds.",
            unit=Unit.NONE,
            width=12,
            queries=(
                Query(
                    f"max (kube_horizontalpodautoscaler_status_desired_replicas{{{_AUTOSCALER}}})",
                    "wanted",
                ),
                Query(f"count (up{{{_APP}}} == 1)", "up"),
                Query(planned_series("scaling.min_replicas", CHOSEN), "planned least", line=True),
                Query(planned_series("scaling.max_replicas", CHOSEN), "planned most", line=True),
            ),
        ),
        Panel(
            title="What is not as it should be",
            text="Conditions of the service; kubectl fastapi status has their messages.",
            unit=Unit.NONE,
            kind="table",
            width=12,
            queries=(
                Query(
                    f"max by (condition, reason) (fastapi_operator_condition{{{CHOSEN}}})",
                    "{{condition}} {{reason}}",
                ),
            ),
        ),
    ),
)

MARKS = (
    Annotation(
        "Rollout",
        _made("kube_replicaset_created", "replicaset", "[a-z0-9]+"),
        "{{replicaset}}",
        "blue",
    ),
    Annotation(
        "Migration",
        _made("kube_job_created", "job_name", "migrate-.+"),
        "{{job_name}}",
        "purple",
    ),
)
