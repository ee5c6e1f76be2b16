"""Autoscaling, and annotations of rollouts and migrations."""

from fastapi_operator.observability.alerts.canary import REASONS
from fastapi_operator.observability.grafana import Annotation, Panel, Query, Row
from fastapi_operator.observability.metrics import Unit
from fastapi_operator.observability.planned import planned_series
from fastapi_operator.observability.promql import CHOSEN, COMPONENT, chosen

_APP = chosen(f'{COMPONENT}="app"')
_AUTOSCALER = 'namespace="$namespace", horizontalpodautoscaler=~"(keda-hpa-)?$service"'


_FAILED_CANARY = chosen('condition="Stalled"', f'reason=~"{REASONS}"')

# Annotations have a step of one minute, and samples are up to half a minute old.
_VISIBLE_SECONDS = 120


def _created(series: str, label: str, name: str) -> str:
    """Whether an object was just created; a condition could end before the next scrape."""
    where = f'namespace="$namespace", {label}=~"$service-{name}"'
    return f"time() - max by ({label}) ({series}{{{where}}}) < {_VISIBLE_SECONDS}"


SCALING = Row(
    title="Autoscaling",
    panels=(
        Panel(
            title="Pods",
            text="If the desired number stays at the upper line, raise maxReplicas as far as the "
            "connection budget permits. If it changes every minute, raise scaleDownSeconds.",
            unit=Unit.NONE,
            width=24,
            queries=(
                Query(
                    f"max (kube_horizontalpodautoscaler_status_desired_replicas{{{_AUTOSCALER}}})",
                    "desired",
                ),
                Query(f"count (up{{{_APP}}} == 1)", "up"),
                Query(planned_series("scaling.min_replicas", CHOSEN), "planned minimum", line=True),
                Query(planned_series("scaling.max_replicas", CHOSEN), "planned maximum", line=True),
            ),
        ),
    ),
)

MARKS = (
    Annotation(
        "Rollout",
        _created("kube_replicaset_created", "replicaset", "[a-z0-9]+"),
        "{{replicaset}}",
        "blue",
    ),
    Annotation(
        "Canary",
        _created("kube_replicaset_created", "replicaset", "canary-[a-z0-9]+"),
        "{{replicaset}}",
        "green",
    ),
    Annotation(
        "Canary not released",
        f"max by (reason) (fastapi_operator_condition{{{_FAILED_CANARY}}}) unless "
        f"max by (reason) (fastapi_operator_condition{{{_FAILED_CANARY}}} offset 2m)",
        "{{reason}}",
        "red",
    ),
    Annotation(
        "Migration",
        _created("kube_job_created", "job_name", "migrate-.+"),
        "{{job_name}}",
        "purple",
    ),
)
