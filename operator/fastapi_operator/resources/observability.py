"""Monitors and PrometheusRule, if the cluster runs the Prometheus Operator."""

from collections.abc import Sequence
from typing import Any

from fastapi_operator import naming
from fastapi_operator.api.observability import Metrics, Observability
from fastapi_operator.facts import POD_MONITOR, PROMETHEUS_RULE, SERVICE_MONITOR
from fastapi_operator.observability import slo
from fastapi_operator.parts import METRICS, Part
from fastapi_operator.resources import objects
from fastapi_operator.resources.desired import Desired
from fastapi_operator.resources.inputs import Inputs
from fastapi_operator.resources.network import metrics_ports
from fastapi_operator.tuning import figures

# The dashboards choose a service and a part by these labels of its pods.
_POD_LABELS = [naming.SERVICE_LABEL, naming.COMPONENT_LABEL]


def build(inputs: Inputs) -> tuple[Desired, ...]:
    """Builds the monitors of all parts with metrics, and the rules of the service's objectives.

    An object is left out if the cluster does not serve its API or it would have no content.
    """
    built = []
    if inputs.metrics_port is not None and inputs.facts.offers(SERVICE_MONITOR):
        built.append(_service_monitor(inputs))
    operands = [part for part in metrics_ports(inputs) if part is not Part.APP]
    if operands and inputs.facts.offers(POD_MONITOR):
        built.append(_pod_monitor(inputs, operands))
    groups = slo.groups(
        inputs.namespace,
        inputs.name,
        inputs.plan.observability,
        runbooks=inputs.settings.runbooks.rstrip("/"),
    )
    if groups and inputs.facts.offers(PROMETHEUS_RULE):
        built.append(_object(inputs, "PrometheusRule", {"groups": groups}))
    return tuple(built)


def _service_monitor(inputs: Inputs) -> Desired:
    spec = {
        "selector": {"matchLabels": naming.selector(inputs.name, Part.APP)},
        "podTargetLabels": _POD_LABELS,
        "endpoints": [_endpoint(inputs, METRICS)],
    }
    return _object(inputs, "ServiceMonitor", spec)


def _pod_monitor(inputs: Inputs, operands: Sequence[Part]) -> Desired:
    """One monitor for all operands, because their Services have no port for metrics."""
    # Caddy has its metrics on its private port.
    ports = {
        "private" if part is Part.PROXY and inputs.proxied_by_caddy else METRICS
        for part in operands
    }
    parts = sorted(part.value for part in operands)
    chosen = {"key": naming.COMPONENT_LABEL, "operator": "In", "values": parts}
    spec = {
        "selector": {
            "matchLabels": {naming.SERVICE_LABEL: inputs.name},
            "matchExpressions": [chosen],
        },
        "podTargetLabels": _POD_LABELS,
        "podMetricsEndpoints": [_endpoint(inputs, name) for name in sorted(ports)],
    }
    return _object(inputs, "PodMonitor", spec)


def _endpoint(inputs: Inputs, port: str) -> dict[str, Any]:
    interval = inputs.plan.observability.scrape_interval_seconds.value
    return {
        "port": port,
        "interval": f"{interval}s",
        # Prometheus rejects a timeout that is longer than the interval.
        "scrapeTimeout": f"{min(interval, figures.SCRAPE_TIMEOUT_SECONDS)}s",
    }


def _object(inputs: Inputs, kind: str, spec: dict[str, Any]) -> Desired:
    metrics = (inputs.spec.observability or Observability()).metrics or Metrics()
    metadata = objects.metadata(inputs, Part.OBSERVABILITY, inputs.name)
    # The operator's own labels last: a user's label must not hide an object from it.
    metadata["labels"] = {**(metrics.additional_labels or {}), **metadata["labels"]}
    body = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }
    return Desired(Part.OBSERVABILITY, body)
