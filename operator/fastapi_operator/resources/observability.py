"""ServiceMonitor and PrometheusRule, where the cluster runs the Prometheus Operator."""

from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.observability import Metrics, Observability
from fastapi_operator.facts import PROMETHEUS_RULE, SERVICE_MONITOR
from fastapi_operator.observability import slo
from fastapi_operator.parts import Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.tuning import figures


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """The monitor of the app's metrics port and the rules of its promise.

    Neither is made where the cluster lacks its API or the app has no metrics port.
    """
    if inputs.metrics_port is None:
        return ()
    built = []
    if inputs.facts.offers(SERVICE_MONITOR):
        built.append(_monitor(inputs))
    groups = slo.groups(
        inputs.namespace,
        inputs.name,
        inputs.plan.observability,
        runbooks=inputs.settings.runbooks.rstrip("/"),
    )
    if groups and inputs.facts.offers(PROMETHEUS_RULE):
        built.append(_object(inputs, "PrometheusRule", {"groups": groups}))
    return tuple(built)


def _monitor(inputs: Inputs) -> Desired:
    interval = inputs.plan.observability.scrape_interval_seconds.value
    endpoint = {
        "port": "metrics",
        "interval": f"{interval}s",
        # Prometheus refuses a timeout beyond the interval.
        "scrapeTimeout": f"{min(interval, figures.SCRAPE_TIMEOUT_SECONDS)}s",
    }
    spec = {
        "selector": {"matchLabels": naming.selector(inputs.name, Part.APP)},
        # The dashboards choose a service and a part by these labels of its pods.
        "podTargetLabels": [naming.SERVICE_LABEL, "app.kubernetes.io/component"],
        "endpoints": [endpoint],
    }
    return _object(inputs, "ServiceMonitor", spec)


def _object(inputs: Inputs, kind: str, spec: dict[str, Any]) -> Desired:
    metrics = (inputs.spec.observability or Observability()).metrics or Metrics()
    metadata = objects.metadata(inputs, Part.OBSERVABILITY, inputs.name)
    # Ours last: a user's label must not take an object out of the operator's sight.
    metadata["labels"] = {**(metrics.additional_labels or {}), **metadata["labels"]}
    body = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }
    return Desired(Part.OBSERVABILITY, body)
